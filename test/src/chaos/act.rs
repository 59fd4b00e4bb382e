//! What skiff is asked to do.

use std::time::Duration;

/// One or several commands that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A start of a cluster that runs.
    Start,
    /// Off.
    Stop,
    /// Off and on again.
    Restart,
    /// A start with another setting, which makes the machine anew on its data.
    Change,
    /// Frozen.
    Pause,
    /// Frozen and thawed.
    Unpause,
    /// One more node.
    AddNode,
    /// One node less, if there is more than one.
    DeleteNode,
    /// A part on and off again.
    Addon,
    /// An image into all nodes.
    Image,
    /// Objects for the API.
    Apply,
    /// All gone and made anew: the only command that may cost data.
    Remake,
}

impl Act {
    /// All there are; the ones that change most are met twice as often.
    pub(super) const ALL: [Self; 15] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Restart,
        Self::Change,
        Self::Change,
        Self::Pause,
        Self::Unpause,
        Self::AddNode,
        Self::AddNode,
        Self::DeleteNode,
        Self::Addon,
        Self::Image,
        Self::Apply,
        Self::Remake,
    ];

    /// How long it takes on a machine with little to do, so that faults fall into it.
    pub(super) fn usual(self) -> Duration {
        Duration::from_millis(match self {
            Self::Apply | Self::Start => 300,
            Self::Pause => 400,
            Self::Unpause => 800,
            Self::Image | Self::Addon => 2000,
            Self::Stop => 3000,
            Self::DeleteNode => 5000,
            Self::Restart | Self::AddNode => 11_000,
            Self::Change | Self::Remake => 14_000,
        })
    }

    /// What must be left of a disk that is nearly full, in bytes: a start writes little, but etcd on a new
    /// node sets 128 MiB aside before it begins.
    pub(super) fn needs(self) -> u64 {
        match self {
            Self::AddNode | Self::Remake => 1 << 30,
            _ => 64 << 20,
        }
    }

    /// True if what the cluster held may be gone afterwards.
    pub(super) fn may_lose_data(self) -> bool {
        self == Self::Remake
    }
}
