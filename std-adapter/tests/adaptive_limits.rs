//! The simulation of the example `adaptive`, in its short form: each limit finds what an overloaded
//! service can do, and finds it again when that changes.

#![allow(unreachable_pub, reason = "the files are those of the example, where it means the same")]

#[path = "../examples/adaptive/cast.rs"]
mod cast;
#[path = "../examples/adaptive/judge.rs"]
mod judge;
#[path = "../examples/adaptive/limits.rs"]
mod limits;
#[path = "../examples/adaptive/plan.rs"]
mod plan;
#[path = "../examples/adaptive/world.rs"]
mod world;

use cast::Player;
use judge::Figures;
use plan::Plan;

#[track_caller]
fn reaches_what_it_must(player: Player) {
    let plan = Plan::new(true);
    let figures = Figures::of(&plan, &player.play(&plan, 1));
    let misses = judge::misses(player, &figures);
    let misses: Vec<_> = misses.iter().map(ToString::to_string).collect();
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn without_a_limit_nothing_is_answered_in_time() {
    reaches_what_it_must(Player::Nothing);
}

#[test]
fn gradient2_as_published_runs_away() {
    reaches_what_it_must(Player::Published);
}

#[test]
fn aimd() {
    reaches_what_it_must(Player::Aimd);
}

#[test]
fn vegas() {
    reaches_what_it_must(Player::Vegas);
}

#[test]
fn gradient2() {
    reaches_what_it_must(Player::Gradient2);
}

#[test]
fn gradient2_recovers_from_a_limit_that_ran_away() {
    reaches_what_it_must(Player::Recovering);
}

#[test]
fn envoy_gradient() {
    reaches_what_it_must(Player::Envoy);
}

#[test]
fn the_cast_is_complete() {
    assert_eq!(Player::ALL.len(), 7, "one test for each");
}

#[test]
fn a_seed_is_a_history() {
    let plan = Plan { seconds: 2, ..Plan::new(true) };
    let history = |seed| format!("{:?}", Player::Vegas.play(&plan, seed));
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
