//! The behaviour of every primitive.

mod backoff;
mod breaker;
mod bucket;
mod budget;
mod clock;
mod degrading;
mod gates;
mod hedge;
mod histogram;
mod named;
mod pipeline;
mod retry;
mod semaphore;
mod shedding;
mod sliding;
mod support;
pub mod timed;
mod timeout;
mod warm_up;
mod window;

use crate::failure::Checked;

/// A check and its name, such as `bucket: a_burst_and_then_the_rate`.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it checks.
    pub name: &'static str,
    /// The check. It may be run any number of times.
    pub run: fn() -> Checked,
}

/// The checks on a manual clock of `HZ` ticks per second.
#[derive(Clone, Copy, Debug)]
pub struct Manual<const HZ: u64>;

macro_rules! table {
    ($(#[$about:meta])* $table:ident; $($module:ident: $($check:ident)+;)+) => {
        impl<const HZ: u64> Manual<HZ> {
            $(#[$about])*
            pub const $table: &'static [Check] = &[$($(Check {
                name: concat!(stringify!($module), ": ", stringify!($check)),
                run: $module::$check::<HZ>,
            },)+)+];
        }
    };
}

table! {
    /// Those of what firmware has most use for: breakers, rate limits, permits, retries, pipelines.
    FIRST;
    breaker:
        closed_it_lets_everything_in
        failures_in_a_row_trip_it
        open_it_refuses_until_its_time_is_over
        half_open_it_lets_in_so_many_probes
        every_way_out_gives_a_probe_back
        a_failed_probe_reopens_it
        probes_may_be_judged_by_rate
        probes_that_never_report_time_out
        a_result_from_before_a_transition_is_dropped
        states_set_by_hand_are_left_by_hand
        the_open_time_grows_and_falls_back
        the_open_time_is_jittered_within_bounds
        a_rule_of_ones_own_trips_it
        an_abandoned_call_says_nothing_unless_told
        a_meter_counts_and_limits
        an_observer_hears_of_every_change_once
        a_task_can_wait_until_it_is_ready
        a_guard_tells_how_its_future_ended
        time_can_be_given_with_each_call
        its_settings_change_while_it_is_in_use
        it_lets_calls_back_in_little_by_little;
    window:
        a_rate_that_is_reached_trips
        a_success_can_be_the_call_that_is_missing
        the_last_calls_slide
        what_says_nothing_is_in_no_window
        the_last_time_slides
        slow_calls_trip
        either_of_two_windows_trips
        a_window_that_cannot_be_is_refused;
    bucket:
        a_burst_and_then_the_rate
        what_it_says_is_when
        polling_often_loses_nothing
        more_than_it_ever_holds_is_refused_for_good
        it_may_begin_with_less
        a_refund_fills_it_no_further_than_full
        as_a_gate_it_gives_back_only_what_never_ran
        a_reservation_is_a_promise
        what_was_held_past_its_time_comes_back_as_nothing
        a_task_waits_its_turn
        a_wait_that_is_cancelled_costs_nothing
        a_wait_that_would_be_too_long_is_refused_at_once
        a_new_rate_brings_no_token
        the_rate_is_as_close_as_promised
        a_late_reading_loses
        a_paced_one_has_slack_and_a_queue;
    semaphore:
        never_more_than_there_are
        a_gate_has_its_permits_back_however_a_call_ends
        first_come_first_served
        who_needs_many_is_not_overtaken
        a_full_queue_refuses
        who_gives_up_leaves_nothing_behind
        their_number_changes_and_none_is_lost
        a_wait_has_an_end
        a_bulkhead_waits_so_long;
    budget:
        the_ratio_is_exact
        no_more_is_saved_than_the_reserve
        the_floor_pays_by_time
        a_retry_that_did_not_take_place_is_given_back
        a_budget_that_cannot_be_is_refused;
    backoff:
        delays_grow_as_told
        no_jitter_is_beyond_the_maximum
        jitter_spreads_over_its_range
        a_backoff_that_cannot_be_is_refused
        random_numbers_are_the_same_everywhere;
    retry:
        it_tries_until_it_works
        it_waits_as_told
        errors_decide
        it_never_sleeps_past_its_deadline
        a_budget_is_shared_by_all_calls
        a_cancelled_wait_gives_its_retry_back
        listeners_hear_of_each_retry
        its_steps_can_be_made_by_hand;
    timeout:
        an_operation_is_cut_off_in_time
        what_is_done_beats_the_limit
        a_deadline_is_an_instant
        a_deadline_ends_what_runs_and_refuses_what_comes;
    gates:
        a_tuple_lets_in_all_or_nothing
        a_permit_is_given_back_once
        a_call_says_what_its_result_means
        a_guard_takes_nothing_before_its_first_poll
        a_refused_guard_runs_nothing
        a_gate_may_be_left_out
        refusals_are_observed
        a_tuple_waits_from_left_to_right;
    pipeline:
        its_parts_are_in_the_order_that_works
        where_nothing_ran_the_outer_gates_lose_nothing
        an_attempt_is_cut_off_and_tried_again
        nothing_runs_past_the_deadline
        a_call_waits_for_its_place
        a_cancelled_call_gives_everything_back
        a_breaker_and_a_budget_end_the_retries
        gates_are_told_what_the_classifier_says;
    clock:
        one_that_stops_wedges_nothing
        one_that_steps_back_grants_nothing_twice
        one_that_is_set_back_for_good_is_believed
        one_that_leaps_ahead_fills_and_no_more
        one_that_comes_to_the_end_of_64_bits_goes_on
        one_that_wraps_at_32_bits_costs_a_burst_at_most
        an_extended_counter_does_not_wrap
        on_an_extended_counter_all_is_as_it_should_be
        readings_in_any_order_grant_no_more_than_the_latest;
}

table! {
    /// Those of the others. They are a table of their own as both are more code than small machines
    /// have flash for.
    FURTHER;
    sliding:
        no_window_holds_more
        a_place_is_free_when_it_says
        a_call_that_never_ran_gives_its_place_back
        a_late_reading_finds_no_place
        what_is_past_counts_less_and_less
        the_estimate_says_when
        a_call_that_never_ran_is_not_counted;
    warm_up:
        it_is_slow_at_first_and_warms_up
        a_pause_cools_it_down
        a_call_that_never_ran_warms_nothing_up
        tasks_take_turns
        a_turn_given_up_makes_no_burst
        a_wait_in_vain_is_refused_at_once
        a_late_reading_loses;
    hedge:
        the_first_to_succeed_is_the_answer
        a_fast_call_makes_one_attempt
        it_is_paid_from_the_budget
        it_waits_for_a_percentile;
    shedding:
        no_more_at_once_and_what_matters_least_goes_first
        a_queue_that_stands_is_shed
        a_throttle_asks_less_of_who_refuses
        an_adaptive_limit_follows_the_load
        an_adaptive_limit_refuses_at_once;
    degrading:
        a_switch_is_turned_by_hand_by_share_and_by_a_breaker
        switches_share_a_word
        a_shadow_refuses_nobody
        tiers_answer_in_turn
        tiers_of_futures_answer_in_turn;
    named:
        a_group_finds_by_name
        a_sketch_lets_in_no_more_than_each_keys_own;
    histogram:
        percentiles_are_as_close_as_promised
        draining_and_merging_lose_nothing
        a_window_forgets_what_is_past;
}

/// Runs all checks on a manual clock of `HZ` ticks per second, a multiple of 8 from 1000 to 10^9,
/// and tells `report` of each. It takes no time but the computer's.
pub fn run<const HZ: u64>(mut report: impl FnMut(&'static str, Checked)) {
    run_these(Manual::<HZ>::FIRST, &mut report);
    run_these(Manual::<HZ>::FURTHER, report);
}

/// Runs these, and tells `report` of each.
pub fn run_these(checks: &[Check], mut report: impl FnMut(&'static str, Checked)) {
    for check in checks {
        report(check.name, (check.run)());
    }
}
