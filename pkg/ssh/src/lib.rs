//! Connect and Runner over ssh.
