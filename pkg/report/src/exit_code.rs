//! Exit codes, after minikube's grid: tens digit = where it failed, unit digit = how.

/// The code a skiff process ends with.
///
/// Tens: 1 program, 2 resources, 3 host, 4 internet, 5 driver, 6 provider, 7 local network,
/// 8 guest, 9 container runtime, 10 control plane, 11 services. Units: 0 error, 1 conflict,
/// 2 time-out, 3 not running, 4 usage, 5 not found, 6 unsupported, 7 permission, 8 config,
/// 9 unavailable. Signals add their number to 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExitCode(pub u8);

impl ExitCode {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
    /// A program or command run on behalf of the user failed.
    pub const FAILURE: Self = Self(1);
    /// skiff itself failed.
    pub const PROGRAM_ERROR: Self = Self(10);
    /// The request conflicts with something reserved or running.
    pub const PROGRAM_CONFLICT: Self = Self(11);
    /// The command line is wrong.
    pub const PROGRAM_USAGE: Self = Self(14);
    /// The request is understood but this build cannot do it.
    pub const PROGRAM_UNSUPPORTED: Self = Self(16);
    /// Something skiff stored cannot be read.
    pub const PROGRAM_CONFIG: Self = Self(18);
    /// Too little memory.
    pub const INSUFFICIENT_MEMORY: Self = Self(23);
    /// Too little disk space.
    pub const INSUFFICIENT_STORAGE: Self = Self(26);
    /// Too few processors.
    pub const INSUFFICIENT_CORES: Self = Self(29);
    /// The host failed to do something.
    pub const HOST_ERROR: Self = Self(30);
    /// A file or tool is missing on the host.
    pub const HOST_NOT_FOUND: Self = Self(35);
    /// The host is not allowed to do something.
    pub const HOST_PERMISSION: Self = Self(37);
    /// A file on the host cannot be read as configuration.
    pub const HOST_CONFIG: Self = Self(38);
    /// A download failed.
    pub const INTERNET_ERROR: Self = Self(40);
    /// A download timed out.
    pub const INTERNET_TIMEOUT: Self = Self(42);
    /// A download site is not reachable.
    pub const INTERNET_UNAVAILABLE: Self = Self(49);
    /// The driver failed.
    pub const DRIVER_ERROR: Self = Self(50);
    /// No driver of that name, or none that works.
    pub const DRIVER_NOT_FOUND: Self = Self(55);
    /// The driver cannot run on this host.
    pub const DRIVER_UNSUPPORTED: Self = Self(56);
    /// The provider (Docker Engine, QEMU) failed.
    pub const PROVIDER_ERROR: Self = Self(60);
    /// The provider is not running.
    pub const PROVIDER_NOT_RUNNING: Self = Self(63);
    /// The provider is not installed.
    pub const PROVIDER_NOT_FOUND: Self = Self(65);
    /// The provider is too old, or of a kind skiff cannot use.
    pub const PROVIDER_UNSUPPORTED: Self = Self(66);
    /// The provider refuses this user.
    pub const PROVIDER_PERMISSION: Self = Self(67);
    /// The provider's answer makes no sense.
    pub const PROVIDER_UNAVAILABLE: Self = Self(69);
    /// The host's network failed.
    pub const NETWORK_ERROR: Self = Self(70);
    /// Address, subnet or port is taken.
    pub const NETWORK_CONFLICT: Self = Self(71);
    /// The node did not answer over ssh in time.
    pub const NETWORK_TIMEOUT: Self = Self(72);
    /// The node did not let skiff in.
    pub const NETWORK_AUTH: Self = Self(78);
    /// The node failed.
    pub const GUEST_ERROR: Self = Self(80);
    /// The node contradicts what was asked.
    pub const GUEST_CONFLICT: Self = Self(81);
    /// The node was too slow.
    pub const GUEST_TIMEOUT: Self = Self(82);
    /// The node is not running.
    pub const GUEST_NOT_RUNNING: Self = Self(83);
    /// No such cluster or node.
    pub const GUEST_NOT_FOUND: Self = Self(85);
    /// The container runtime failed.
    pub const RUNTIME_ERROR: Self = Self(90);
    /// The control plane failed.
    pub const CONTROL_PLANE_ERROR: Self = Self(100);
    /// What is in the cluster contradicts what was asked.
    pub const CONTROL_PLANE_CONFLICT: Self = Self(101);
    /// The control plane was too slow.
    pub const CONTROL_PLANE_TIMEOUT: Self = Self(102);
    /// The control plane is not running.
    pub const CONTROL_PLANE_NOT_RUNNING: Self = Self(103);
    /// There is no control plane.
    pub const CONTROL_PLANE_NOT_FOUND: Self = Self(105);
    /// That Kubernetes version is not supported.
    pub const CONTROL_PLANE_UNSUPPORTED: Self = Self(106);
    /// Another process does already what was asked for services.
    pub const SERVICE_CONFLICT: Self = Self(111);
    /// No such service, or nobody behind it.
    pub const SERVICE_NOT_FOUND: Self = Self(115);
    /// The user pressed Ctrl-C.
    pub const INTERRUPTED: Self = Self(130);
}
