//! Fallbacks, for results and for futures.

use crate::ready;

use fusebox_core::{Answer, Fallback, FallbackFuture};

use crate::{Watcher, any, keep, poll};

type Tried = Result<u32, u32>;

pub(crate) fn all() {
    let tried = || any(Tried::Err(1));
    let applies = |error: &u32| any(*error) > 1;
    let chain = tried().fallback_if(applies, |_| tried()).fallback(|_| tried());
    if let Ok(answer) = chain.answer() {
        look_at(answer);
    }
    look_at(tried().fallback(|_| tried()).or_value(any(2)));
    look_at(tried().or_value(any(2)));

    poll(ready(tried()).fallback_if(applies, |_| ready(tried())).fallback(|_| ready(tried())));
    poll(ready(tried()).fallback(|_| ready(tried())).fallback_if(applies, |_| ready(tried())));
    poll(ready(tried()).fallback(|_| ready(tried())).or_value(any(2)));
    poll(ready(tried()).or_value(any(2)));
}

fn look_at(answer: Answer<u32>) {
    let answer = answer.observed_by("every", &Watcher);
    keep((answer.tier(), answer.is_fallback(), *answer.value(), answer.into_inner()));
}
