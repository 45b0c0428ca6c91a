//! What is done with less: switches, shadows and fallbacks.

use core::future::ready;
use core::task::Poll;

use fusebox_core::{
    BreakerConfig, BucketConfig, CircuitBreaker, Error, Fallback, FallbackFuture, Gate,
    ManualClock, Ratio, Reason, Shadow, Switch, Switches, TokenBucket,
};

use super::support::{finish, reason};
use crate::{Checked, Failure, ensure, ensure_eq};

pub(super) fn a_switch_is_turned_by_hand_by_share_and_by_a_breaker<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let switch = Switch::new();
    ensure!(switch.is_enabled() && switch.permit().is_ok());
    switch.disable();
    ensure!(reason(switch.permit()) == Some(Reason::SwitchedOff));
    switch.enable();

    let breaker =
        CircuitBreaker::new(BreakerConfig::standard(), &clock).observed_by("bus", &switch);
    breaker.trip();
    ensure!(!switch.is_enabled());
    breaker.reset();
    ensure!(switch.is_enabled());

    switch.set_share(Ratio::percent(25)).map_err(|_| Failure::new("a share"))?;
    let chosen = (0..1_000).filter(|key| switch.is_enabled_for(*key)).count();
    ensure!((200..300).contains(&chosen));
    ensure!((0..100).all(|key| switch.of(key).permit().is_ok() == switch.is_enabled_for(key)));
    Ok(())
}

pub(super) fn switches_share_a_word<const HZ: u64>() -> Checked {
    let switches = Switches::new();
    switches.at::<3>().disable();
    ensure_eq!(switches.all(), !(1 << 3));
    ensure!(switches.at::<3>().permit().is_err() && switches.at::<31>().permit().is_ok());
    ensure!(switches.get(32).is_none());
    switches.set_all(1 << 3);
    ensure!(switches.get(3).is_some_and(|flag| flag.is_enabled()));
    ensure!(!switches.at::<31>().is_enabled());
    Ok(())
}

pub(super) fn a_shadow_refuses_nobody<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let limit = TokenBucket::new(BucketConfig::per_second(8).burst(2), &clock);
    let limit = Shadow::new(limit);
    for _ in 0..5 {
        ensure!(limit.call(|| Ok::<_, ()>(())).is_ok());
    }
    ensure_eq!(limit.spared(), 3);
    limit.enforce();
    ensure!(reason(limit.permit()) == Some(Reason::RateLimited));
    limit.only_watch();
    ensure!(limit.permit().is_ok() && !limit.is_enforced());
    ensure_eq!(limit.spared(), 4);
    Ok(())
}

pub(super) fn tiers_answer_in_turn<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    let ask = |answer: Result<u32, &'static str>| {
        breaker.call(|| answer).fallback_if(Error::is_rejected, |_| Ok::<_, Error<&str>>(1))
    };
    let answer = ask(Ok(0)).or_value(2);
    ensure!(!answer.is_fallback() && answer.into_inner() == 0);
    let failed = ask(Err("down")).or_value(2);
    ensure_eq!(failed.tier(), 2, "the first is for refusals alone");
    breaker.trip();
    let answer = ask(Ok(0)).or_value(2);
    ensure_eq!(answer.tier(), 1);
    ensure_eq!(answer.into_inner(), 1);
    Ok(())
}

pub(super) fn tiers_of_futures_answer_in_turn<const HZ: u64>() -> Checked {
    let ask = |first: Result<u32, u32>| {
        ready(first)
            .fallback(|error| ready(if error == 7 { Ok(1) } else { Err(error) }))
            .or_value(2)
    };
    for (first, tier) in [(Ok(0), 0), (Err(7), 1), (Err(8), 2)] {
        let Poll::Ready(answer) = finish(ask(first)) else {
            return Err(Failure::new("it never waits"));
        };
        ensure_eq!(answer.tier(), tier);
        ensure_eq!(answer.into_inner(), tier);
    }
    Ok(())
}
