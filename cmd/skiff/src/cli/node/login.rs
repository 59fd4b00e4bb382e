//! `skiff ip`, `skiff ssh-key` and `skiff ssh`: ways to a node.

use std::{
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
    process::Command,
};

use skiff_cluster::{ClusterError, address, login};
use skiff_report::ExitCode;
use skiff_runner::SshTarget;

use crate::{
    context::{Context, print_line},
    failure::Failure,
};

/// Which node.
#[derive(Debug, clap::Args)]
pub(crate) struct NodeArgs {
    /// Name of the node, e.g. m02; the first one if not given.
    #[arg(short, long, value_name = "NAME")]
    node: Option<String>,
}

/// Prints the address of a node.
#[derive(Debug, clap::Args)]
pub(crate) struct IpArgs {
    #[command(flatten)]
    node: NodeArgs,
}

impl IpArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_of_cluster("skiff ip").await?;
        print_line(&address(&host, &context.cluster, self.node.node.as_deref()).await?.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints the path of the ssh key that opens the cluster's nodes.
#[derive(Debug, clap::Args)]
pub(crate) struct SshKeyArgs {
    #[command(flatten)]
    _node: NodeArgs,
}

impl SshKeyArgs {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode, Failure> {
        let store = context.store()?;
        store.load(&context.cluster)?.ok_or_else(|| ClusterError::NotFound(context.cluster.clone()))?;
        print_line(&store.ssh_key_path(&context.cluster).display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Logs in to a node, or runs a command on it.
#[derive(Debug, clap::Args)]
pub(crate) struct SshArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The command; a shell if not given.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl SshArgs {
    /// Becomes the host's ssh, so that terminal, streams and exit status are its own.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let host = context.host_in_use("skiff ssh").await?;
        let target = login(&host, &context.cluster, self.node.node.as_deref()).await?;
        let mut ssh = ssh(context, &target)?;
        let interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        if interactive {
            ssh.arg("-t");
        }
        ssh.arg(format!("{}@{}", target.user, target.address.ip())).args(&self.command);
        Err(become_program(&mut ssh))
    }
}

/// The host's ssh with the options that reach a node and trust nothing else.
pub(in crate::cli) fn ssh(context: &Context, target: &SshTarget) -> Result<Command, Failure> {
    let port = target.address.port();
    // One name for the node whatever its address, and a file that knows nothing but its key.
    let known = format!("skiff-node {}\n", target.host_key.trim());
    let known = context.cluster_file(&format!("ssh/{port}.known_hosts"), &known)?;
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-p", &port.to_string(), "-i"]).arg(&target.key);
    for option in [
        "StrictHostKeyChecking=yes",
        "HostKeyAlias=skiff-node",
        "IdentitiesOnly=yes",
        "LogLevel=ERROR",
        "CheckHostIP=no",
    ] {
        ssh.args(["-o", option]);
    }
    ssh.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", known.display()));
    Ok(ssh)
}

/// Replaces this process by another program. Returns only if that fails.
pub(in crate::cli) fn become_program(command: &mut Command) -> Failure {
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(
        "HOST_COMMAND_NOT_FOUND",
        ExitCode::HOST_NOT_FOUND,
        format!("cannot run `{program}`: {error}"),
        format!("Install `{program}`, or check that it is in PATH."),
    )
}
