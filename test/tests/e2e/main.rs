//! The end-to-end tests, several at the same time.
//!
//! Each of them has a [`Sandbox`](skiff_test::Sandbox): a home, a kubeconfig, cluster names, ports and temporary
//! files of its own. None changes anything that the host has only once, and what is left behind is looked for by
//! those names; so they do not disturb each other, nor whatever else runs on the host. Give a test that would a
//! world of its own, as the chaos suite has.

mod addons;
mod bad_host;
mod bad_input;
mod bad_luck;
mod builtin;
mod chaos;
mod cut_off_build;
mod families;
mod hyperkit;
mod ingress;
mod lifecycle;
mod nodes;
mod qemu;
mod race;
mod second_start;
mod services;
mod upgrade;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    // What runs in an emulated machine has deadlines of its own, made for a machine at least ten times as fast; with
    // half of a busy host it misses them, and begins anew what missed them.
    let alone = skiff_test::tests![qemu::a_cluster_in_a_virtual_machine_does_what_one_in_a_container_does];
    // Longest first, so that in the end none is left that all wait for.
    let beside = skiff_test::tests![
        chaos::a_cluster_comes_back_whole_from_each_fault_that_is_promised,
        upgrade::a_cluster_in_use_is_upgraded_node_by_node_and_back_when_that_fails,
        nodes::nodes_come_and_go_and_their_pods_find_each_other,
        addons::addons_come_and_go_without_a_trace,
        hyperkit::a_machine_lives_from_its_first_boot_to_its_last,
        bad_luck::a_killed_start_is_picked_up_by_the_next,
        bad_luck::an_interrupted_start_leaves_nothing_of_what_it_began,
        bad_luck::two_profiles_and_other_peoples_contexts_live_beside_each_other,
        families::what_is_reached_by_ipv4_is_reached_by_ipv6,
        builtin::addons_work_without_pulling_anything,
        second_start::a_cluster_survives_whatever_happens_to_its_machine,
        second_start::changed_settings_are_applied_with_the_data_kept_or_refused_in_words,
        ingress::traffic_flows_while_backends_are_replaced,
        race::twenty_commands_at_once_do_what_they_were_asked,
        services::services_are_reached_from_the_host,
        lifecycle::a_cluster_lives_as_it_is_told,
        workload::pods_work_before_and_after_a_stop,
        cut_off_build::a_build_that_is_cut_off_leaves_only_what_the_next_one_goes_on_with,
        cut_off_build::a_killed_node_image_is_made_by_the_next_build,
        lifecycle::what_a_job_forgot_is_deleted_when_the_job_is_gone,
        bad_host::a_qemu_that_machines_cannot_run_on_is_told_before_anything_is_made,
        bad_host::a_damaged_artifact_is_named_and_never_used,
        bad_host::a_full_disk_is_noticed_before_the_build,
        bad_host::a_taken_subnet_is_refused_with_its_owner,
        bad_host::a_user_without_rights_is_told_about_the_group,
        bad_host::an_unreachable_mirror_is_named_and_leaves_nothing,
        bad_host::without_docker_start_says_how_to_get_it,
        bad_input::a_settings_file_with_mistakes_is_named_and_can_be_repaired,
        bad_input::all_problems_are_told_at_once,
        bad_input::clusters_that_are_not_there_exit_with_85,
        bad_input::failures_are_events_for_programs,
        bad_input::names_that_cannot_be_are_refused_by_every_verb,
        bad_input::settings_that_cannot_be_are_refused_before_anything_is_made,
        bad_input::unknown_verbs_and_flags_exit_with_14_and_a_suggestion,
        bad_input::what_this_host_cannot_give_is_refused_and_undone,
        hyperkit::apple_silicon_is_told_what_to_use,
        lifecycle::the_doctor_says_what_there_is,
    ];
    skiff_test::run_side_by_side(alone, beside)
}
