//! The use cases: start, stop, delete, status and the small ones around them.
//!
//! Nothing here knows a concrete driver or ssh: [`Host`] carries them in as generics, and tests
//! pass fakes. `start/` is split into one file a step, in the order a start goes through them.

mod access;
mod addons;
mod api;
mod auto_pause;
mod clock;
mod delete;
mod entrance;
mod error;
mod export;
mod gc;
mod host;
mod identity;
mod kube;
mod kubeconfig;
mod lease;
mod lifetime;
mod living;
mod manifests;
mod node_delete;
mod node_spec;
mod nodes;
mod pause;
mod port;
mod profiles;
mod queue;
mod report;
mod schedule;
mod services;
mod snapshot;
mod start;
mod status;
mod stop;
mod stopwatch;
mod upgrade;

pub use access::{ClientFiles, outdated};
pub use addons::{
    AddonListing, AddonReport, AddonRequest, AddonSetting, AddonSettings, AddonState, ListedImage, addon_states,
    configure_addon, disable_addons, enable_addons, list_addons,
};
pub use api::{Api, ConnectApi};
pub use auto_pause::{Unattended, attend_cluster, can_auto_pause, take_from_attendant, wake};
pub use delete::delete;
pub use error::{ClusterError, Outside};
pub use export::{ExportReport, export_logs};
pub use gc::{Garbage, GcReport, gc};
pub use host::{Host, ImageSource};
pub use kube::KubeConnector;
pub use kubeconfig::{follow, update_context};
pub use lease::{Ended, Lease};
pub use node_delete::{Leave, delete_node};
pub use nodes::{address, login, runner};
pub use pause::{pause, unpause, was_paused};
pub use profiles::{DamagedProfile, profiles, stored_profiles};
pub use report::{
    ClusterStatus, ComponentState, DeleteReport, KubeconfigState, NodeReport, Outcome, PauseReport, PauseScope,
    ProfileReport, StartOptions, StartReport, StartRequest, StopReport, WaitFor,
};
pub use schedule::{ScheduledStop, await_scheduled_stop, cancel_scheduled_stop, note_scheduled_stop, scheduled_stop};
pub use services::{
    Endpoint, Forward, Found, Protocol, ServiceApi, ServiceError, ServiceQuery, TunnelOptions, Way, cluster_away,
    find_services, list_services, tunnel,
};
pub use snapshot::{ClusterSnapshot, SnapshotError, delete_snapshot, list_snapshots, restore_snapshot, save_snapshot};
pub use start::{Before, NewNode, NodeOutcome, Preview, add_node, preview, start, start_node, stop_node, undo_start};
pub use start::{Change, Convergence, Ground, Impact, converge};
pub use status::status;
pub use stop::stop;
pub use upgrade::{
    NoUpgrade, UpgradeError, UpgradeNode, UpgradeStep, kubelet_skew, may_join, plan_upgrade, planned_upgrade,
    upgrade_under_way,
};
