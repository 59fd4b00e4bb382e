//! The suite that every driver passes, the fake included.
//!
//! A driver's tests call [`driver_contract!`](crate::driver_contract) with an expression that makes
//! a [`Subject`]; each behaviour below then becomes a test of its own. A behaviour only uses names,
//! ports and an image of its own, so that tests may run at the same time, and what it made is
//! deleted after it, also when it failed.

mod images;
mod network;
mod node;
mod snapshots;
mod trial;

pub use images::*;
pub use network::*;
pub use node::*;
pub use snapshots::*;
pub use trial::{Subject, Trial, run};

/// Makes one `#[tokio::test]` for each behaviour of the contract. The argument is a future of a
/// [`Subject`], evaluated anew in each test. The calling crate needs `tokio`.
#[macro_export]
macro_rules! driver_contract {
    ($subject:expr) => {
        $crate::driver_contract! { $subject =>
            check_tells_what_the_driver_can_do
            network_is_made_once
            network_keeps_its_subnet
            networks_made_at_once_do_not_overlap
            taken_subnet_is_refused
            remains_of_a_cluster_go_together
            created_node_is_listed_as_created
            created_node_can_be_created_again
            started_node_cannot_be_created_again
            name_of_another_clusters_node_is_refused
            node_of_an_unknown_image_is_refused
            start_may_be_repeated
            start_of_an_absent_node_fails
            taken_port_fails_the_start
            pause_may_be_repeated_and_start_thaws
            frozen_node_can_be_stopped
            only_a_running_node_can_be_paused
            stop_may_be_repeated
            stopped_node_comes_back_at_its_address
            endpoints_are_where_the_ports_are_published
            endpoints_need_a_running_node
            deleted_machine_with_kept_data_is_missing
            missing_node_can_be_created_again
            delete_may_be_repeated
            list_tells_clusters_apart
            logs_can_be_collected_in_any_state
            import_of_an_image_may_be_repeated
            used_image_stays
            removed_image_is_gone
        }
    };
    ($subject:expr => $($behaviour:ident)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                $crate::contract::run($subject.await, $crate::contract::$behaviour).await;
            }
        )+
    };
}

/// The same for drivers that keep snapshots: the behaviours of [`Snapshots`](crate::Snapshots).
#[macro_export]
macro_rules! snapshot_contract {
    ($subject:expr) => {
        $crate::driver_contract! { $subject =>
            check_tells_that_there_are_snapshots
            snapshot_is_listed_with_its_marks
            snapshot_of_a_stopped_node_is_off
            frozen_node_keeps_its_memory_where_the_driver_can
            running_node_is_not_saved
            name_of_a_snapshot_is_taken_once
            unknown_snapshot_is_not_restored
            deleting_a_snapshot_may_be_repeated
            snapshots_go_with_the_node
        }
    };
}
