//! Switches by their public API: who wins, even shares, and news that comes late.

use std::cell::RefCell;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Counts, Event, Gate, ManualClock, Observer, Ratio, Reason,
    State, Switch, Switches,
};

fn changed(to: State, generation: u16) -> Event<'static> {
    let (from, counts) = (State::Closed, Counts::default());
    Event::StateChanged { name: "db", from, to, counts, generation }
}

#[test]
fn a_person_wins_over_what_drives_it() {
    let switch = Switch::new();
    let now = || {
        let snapshot = switch.snapshot();
        assert_eq!(snapshot.enabled, switch.is_enabled());
        assert_eq!(snapshot.enabled, switch.permit().is_ok());
        (snapshot.enabled, snapshot.by_hand, snapshot.driven_off)
    };
    assert_eq!(now(), (true, None, false));
    switch.drive(true);
    assert_eq!(now(), (false, None, true));
    switch.force_on();
    assert_eq!(now(), (true, Some(true), true));
    switch.drive(false);
    switch.disable();
    assert_eq!(now(), (false, Some(false), false));
    assert_eq!(switch.permit().unwrap_err().reason(), Reason::SwitchedOff);
    // What was driven meanwhile counts from here on.
    switch.drive(true);
    switch.enable();
    assert_eq!(now(), (false, None, true));
    switch.drive(false);
    assert_eq!(now(), (true, None, false));
}

#[test]
fn a_breaker_drives_it_through_its_whole_life() {
    let clock: ManualClock<1000> = ManualClock::new();
    let switch = Switch::new();
    let config = BreakerConfig::standard().consecutive_failures(1);
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", &switch);
    // More often than there are generations, and resets that nobody hears of in between.
    for round in 0..300_u64 {
        breaker.permit().unwrap().failure();
        assert!(!switch.is_enabled(), "open");
        clock.advance(std::time::Duration::from_secs(60));
        let probe = breaker.permit().unwrap();
        assert!(!switch.is_enabled(), "half-open");
        probe.success();
        assert!(switch.is_enabled(), "closed");
        for _ in 0..round % 7 {
            breaker.reset();
        }
    }
    breaker.force_open();
    assert!(!switch.is_enabled());
    breaker.disable();
    assert!(switch.is_enabled());
}

/// Threads report on their own, so an opening can be reported after the closing that followed it.
#[test]
fn news_that_comes_late_changes_nothing() {
    let switch = Switch::new();
    switch.on_event(&changed(State::Open, 1));
    switch.on_event(&changed(State::Closed, 3));
    switch.on_event(&changed(State::HalfOpen, 2));
    assert!(switch.is_enabled());
    switch.on_event(&changed(State::Open, 1));
    assert!(switch.is_enabled(), "it is closed, whatever was heard late");
    switch.on_event(&changed(State::Open, 4));
    assert!(!switch.is_enabled());
}

#[test]
fn a_share_is_even_over_any_run_of_calls() {
    for (percent, parts) in [(1, 100), (10, 10), (50, 2), (99, 100)] {
        let switch = Switch::new();
        switch.set_share(Ratio::percent(percent)).unwrap();
        let answers: Vec<bool> = (0..20_000).map(|_| switch.permit().is_ok()).collect();
        for run in answers.chunks(1000) {
            let admitted = run.iter().filter(|&&on| on).count() as i64;
            let fair = i64::from(percent) * 10;
            assert!((admitted - fair).abs() <= 4, "{admitted} of 1000 at {percent} %");
        }
        // Traffic with a period of its own gets its share as well: every second call, every tenth.
        for period in [2, 5, 10, parts] {
            let mine = answers.iter().step_by(period);
            let (all, admitted) = (mine.len(), mine.filter(|&&on| on).count());
            let fair = all as f64 * f64::from(percent) / 100.0;
            assert!((admitted as f64 - fair).abs() <= 25.0, "{admitted} of {all} at {percent} %");
        }
    }
}

#[test]
fn the_ends_of_a_share_are_all_and_nothing() {
    let switch = Switch::new();
    switch.set_share(Ratio::percent(0)).unwrap();
    assert!(!switch.is_enabled());
    assert!((0..1000).all(|key| switch.permit().is_err() && !switch.is_enabled_for(key)));
    switch.set_share(Ratio::percent(100)).unwrap();
    assert!((0..1000).all(|key| switch.permit().is_ok() && switch.is_enabled_for(key)));
    switch.set_share(Ratio::new(1, 3)).unwrap();
    assert_eq!(switch.snapshot().share, Ratio::new(3333, 10_000), "rounded down");
}

#[test]
fn a_growing_share_only_adds_keys() {
    let switch = Switch::new();
    let mut before: Vec<u64> = Vec::new();
    for percent in [1, 5, 25, 50, 99, 100] {
        switch.set_share(Ratio::percent(percent)).unwrap();
        let chosen: Vec<u64> = (0..10_000).filter(|&key| switch.is_enabled_for(key)).collect();
        assert!(before.iter().all(|key| chosen.contains(key)), "lost one at {percent} %");
        let (expected, got) = (i64::from(percent) * 100, chosen.len() as i64);
        assert!((got - expected).abs() < 150, "{got} of 10000 at {percent} %");
        assert!(chosen.iter().all(|&key| switch.of(key).permit().is_ok()));
        before = chosen;
    }
}

#[test]
fn another_salt_chooses_other_keys() {
    let chosen = |salt| {
        let switch = Switch::salted(salt);
        switch.set_share(Ratio::percent(10)).unwrap();
        (0..10_000).filter(move |&key| switch.is_enabled_for(key)).collect::<Vec<u64>>()
    };
    let (one, other) = (chosen(1), chosen(2));
    let both = one.iter().filter(|key| other.contains(key)).count();
    assert!((50..150).contains(&both), "{both} of {} and {}", one.len(), other.len());
    assert_eq!(one, chosen(1), "and always the same");
}

#[test]
fn keys_of_text_are_the_published_hash() {
    // FNV-1a, 64 bits, as its authors give it.
    assert_eq!(Switch::key(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(Switch::key(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(Switch::key(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn a_bad_share_is_refused_and_changes_nothing() {
    let switch = Switch::new();
    switch.set_share(Ratio::percent(30)).unwrap();
    let text = switch.set_share(Ratio::percent(101)).unwrap_err().to_string();
    assert_eq!(text, "a switch's share must be at most 100 %, but is 101 %");
    assert!(switch.set_share(Ratio::new(1, 0)).is_err());
    assert_eq!(switch.snapshot().share, Ratio::percent(30));
}

#[test]
fn flags_of_a_word_are_independent() {
    let flags = Switches::new();
    assert_eq!(flags.all(), u32::MAX);
    for index in 0..Switches::COUNT {
        let flag = flags.get(index).unwrap();
        flag.disable();
        assert_eq!(!flags.all(), 1 << index);
        assert_eq!(flag.permit().unwrap_err().reason(), Reason::SwitchedOff);
        flag.enable();
        assert!(flag.is_enabled() && flag.permit().is_ok());
    }
    assert!(flags.get(32).is_none());
    flags.set_all(0b101);
    assert_eq!((flags.at::<0>().is_enabled(), flags.at::<1>().is_enabled()), (true, false));
    assert_eq!(flags.all(), 0b101);
    assert!(format!("{flags:?}").ends_with("0101)"));
}

#[test]
fn two_observers_are_both_told() {
    struct Log(RefCell<Vec<State>>);
    impl Observer for Log {
        fn on_event(&self, event: &Event<'_>) {
            if let Event::StateChanged { to, .. } = event {
                self.0.borrow_mut().push(*to);
            }
        }
    }
    let (clock, log) = (ManualClock::<1000>::new(), Log(RefCell::default()));
    let (switch, config) = (Switch::new(), BreakerConfig::standard());
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", (&switch, &log));
    breaker.trip();
    assert_eq!((switch.is_enabled(), &log.0.borrow()[..]), (false, &[State::Open][..]));
}
