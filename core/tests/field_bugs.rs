//! Bugs that were seen in other crates and services of this field, each with a test that it is not
//! here.
//!
//! | bug | what went wrong there |
//! |---|---|
//! | 1 | a late clock reading wrapped a subtraction, and many times the quota was granted |
//! | 2 | a refill that was rounded down, and moved its timestamp to now, lost half of the rate |
//! | 3 | intervals in whole nanoseconds made rates wrong by up to a half |
//! | 4 | very slow rates never refilled; an idle counter wrapped and blocked |
//! | 5 | a clock that steps back: negative durations, double refill, no time passing for ever |
//! | 7 | one request more than the burst |
//! | 8 | a half-open slot that was never given back; a probe that never reports |
//! | 9 | more probes than allowed |
//! | 10 | a result from an older generation decided |
//! | 11 | a window of calls that never slid |
//! | 12 | probes aged out of a time window, and half-open wedged |
//! | 13 | judged on failures only, or only by the next call |
//! | 14 | a clone or a second layer had a state of its own |
//! | 15 | each open/close cycle leaked |
//! | 16 | callbacks under a lock; a short window divided by zero |
//! | 18 | a wake-up lost with a cancelled waiter; waiters waking each other in a loop |
//! | 19 | a permit count that overflowed or went below zero; more than there is waited for ever |
//! | 20 | a guard wrote an old copy of the state back |
//! | 22 | jitter beyond the maximum delay; one constant seed |
//! | 23 | budget ratios that became 100 %; expiry that looped once for each missed window |
//! | 24 | a total deadline that did not count the sleeps, or nothing but the sleeps |
//! | 25 | a hedge's attempt that lost was left running |
//! | 29 | `per_second(4000)` that meant one per 4000 s |
//!
//! The numbers between are about layers and keys, which are not in this crate; the runaway of
//! adaptive limits has none. [`TABLE`] names the tests; the races among these are also
//! model-checked, in `loom-tests`. Each test says where its bug was seen.

mod field_bugs {
    pub(crate) mod adaptive;
    pub(crate) mod backoff;
    pub(crate) mod breaker;
    pub(crate) mod bucket;
    pub(crate) mod budget;
    pub(crate) mod hedge;
    pub(crate) mod retry;
    pub(crate) mod semaphore;
    pub(crate) mod sliding;
    pub(crate) mod warm_up;
}

use field_bugs::{
    adaptive, backoff, breaker, bucket, budget, hedge, retry, semaphore, sliding, warm_up,
};

/// Each bug and a test of it. A test that is renamed or removed does not compile here.
const TABLE: &[(u32, fn())] = &[
    (1, bucket::a_stale_reading_wins_nothing),
    (1, budget::a_clock_that_steps_back_neither_pays_twice_nor_wedges),
    (1, sliding::a_stale_reading_finds_no_room),
    (1, sliding::a_stale_reading_begins_no_window),
    (1, warm_up::a_stale_reading_ends_no_pause),
    (2, bucket::polling_often_loses_nothing),
    (2, budget::polling_does_not_starve_the_floor),
    (2, sliding::polling_a_window_loses_nothing),
    (2, sliding::polling_a_counter_loses_nothing),
    (3, bucket::rates_are_what_they_say),
    (3, warm_up::a_warm_rate_is_what_it_says),
    (4, bucket::slow_rates_refill_and_idle_buckets_do_not_block),
    (4, budget::no_idle_time_blocks_the_floor),
    (5, bucket::a_clock_that_steps_back_refills_nothing_twice_and_blocks_nobody),
    (5, breaker::a_clock_that_steps_back_neither_wedges_nor_lets_two_probes_in),
    (5, breaker::a_window_of_time_survives_a_step_back),
    (7, bucket::strictly_at_most_the_burst),
    (7, sliding::no_window_holds_more),
    (7, warm_up::one_call_at_a_time_whatever_the_pause_before),
    (7, sliding::strictly_at_most_the_limit_in_one_window),
    (8, breaker::a_probe_comes_back_whatever_happens_to_its_call),
    (8, breaker::a_probe_that_panics_reopens),
    (8, breaker::a_probe_that_never_reports_times_out),
    (8, breaker::callers_that_wait_until_ready_do_not_wait_for_a_hung_probe_for_ever),
    (8, semaphore::a_permit_comes_back_whatever_happens),
    (9, breaker::never_more_probes_than_allowed),
    (10, breaker::a_result_of_an_older_generation_changes_nothing),
    (10, breaker::a_probe_of_an_earlier_half_open_decides_nothing),
    (11, breaker::a_window_of_calls_slides),
    (12, breaker::probes_do_not_age),
    (13, breaker::a_success_can_be_the_call_that_trips_and_no_further_call_is_needed),
    (14, breaker::a_breaker_is_shared_and_never_copied),
    (15, breaker::a_cycle_leaves_nothing_behind),
    (16, breaker::a_callback_may_use_the_breaker),
    (16, breaker::a_window_of_any_length_works_or_is_a_config_error),
    (18, semaphore::a_cancelled_waiter_hands_its_wake_up_on),
    (18, semaphore::a_cancelled_head_lets_those_behind_it_through),
    (18, semaphore::waiters_that_cannot_go_on_wake_nobody),
    (19, semaphore::permits_given_back_twice_do_not_overflow),
    (19, semaphore::more_than_there_is_is_refused_at_once),
    (19, semaphore::what_is_free_never_goes_below_zero),
    (19, adaptive::a_limit_that_shrinks_below_what_is_in_flight_never_goes_negative),
    (19, adaptive::an_adaptive_limit_leaks_no_place_whatever_happens),
    (19, adaptive::a_place_given_back_twice_makes_no_room),
    (20, semaphore::permits_given_back_in_any_order_keep_what_happened_since),
    (22, backoff::jitter_never_exceeds_the_maximum_delay),
    (22, backoff::different_seeds_give_different_delays),
    (23, budget::every_percentage_is_exact),
    (23, budget::thirty_idle_days_cost_no_loop),
    (24, retry::sleeps_count_into_the_deadline),
    (24, retry::attempts_count_into_the_deadline),
    (24, retry::what_a_server_asks_for_does_not_outlast_the_deadline),
    (25, hedge::an_attempt_that_lost_is_gone_before_the_answer_is_there),
    (29, warm_up::four_thousand_per_second_are_four_thousand),
];

#[test]
fn the_table_has_every_bug_that_touches_this_crate() {
    let here = (1..=5).chain(7..=16).chain(18..=20).chain(22..=25).chain([29]);
    let mut named: Vec<u32> = TABLE.iter().map(|&(bug, _)| bug).collect();
    named.dedup();
    assert!(named.iter().copied().eq(here), "{named:?}");
}
