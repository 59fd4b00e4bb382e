//! Processes of skiff's that stay when the command that made them has ended.

use std::{
    env, io,
    process::{Child, Command, Stdio},
};

use crate::context::Context;

/// Leaves one behind that runs a line of skiff's, with the same home. Variables in `unset` speak of the
/// command that is now.
pub(super) fn leave(context: &Context, line: &[&str], unset: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(line);
    command.env("SKIFF_HOME", &context.environment.home).env("SKIFF_CACHE", &context.environment.cache);
    if let Ok(files) = env::join_paths(&context.environment.kubeconfig) {
        command.env("KUBECONFIG", files);
    }
    for variable in ["SKIFF_PROFILE"].iter().chain(unset) {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
