//! The codes of gRPC.

use std::convert::Infallible;

use ::http::header::HeaderName;
use ::http::{HeaderMap, HeaderValue, StatusCode};
use fusebox_core::{Error, Reason};

pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The codes in the order of their numbers, as `grpc-status` has these.
const NUMBERS: [&str; 17] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];

/// How a call of gRPC has ended.
///
/// # Examples
///
/// ```
/// use fusebox_std::grpc::Code;
///
/// assert_eq!(Code::Unavailable as u8, 14);
/// assert!(Code::Unavailable.is_failure() && !Code::NotFound.is_failure());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Code {
    /// It did what it was asked to.
    Ok = 0,
    /// The caller has gone.
    Cancelled = 1,
    /// An error that has no other code.
    Unknown = 2,
    /// The request makes no sense, whatever the state of the system.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// Something that was asked for is not there.
    NotFound = 5,
    /// Something that was to be made is there already.
    AlreadyExists = 6,
    /// This caller may not.
    PermissionDenied = 7,
    /// A quota is used up, or there is no room left.
    ResourceExhausted = 8,
    /// The system is not in the state that this needs.
    FailedPrecondition = 9,
    /// It was in the way of something else.
    Aborted = 10,
    /// It went past the end of what there is.
    OutOfRange = 11,
    /// There is no such method.
    Unimplemented = 12,
    /// Something in the system is broken.
    Internal = 13,
    /// The service is not there now.
    Unavailable = 14,
    /// Data is lost for ever.
    DataLoss = 15,
    /// Nobody knows who this caller is.
    Unauthenticated = 16,
}

impl Code {
    /// All codes there are, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// What `grpc-status` says in these headers or trailers; `None` where it is not there. What is
    /// no code is [`Unknown`](Self::Unknown).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let told = headers.get(STATUS)?.as_bytes();
        let found = NUMBERS.iter().zip(Self::ALL).find(|(number, _)| number.as_bytes() == told);
        Some(found.map_or(Self::Unknown, |(_, code)| code))
    }

    /// Whether it says that something is wrong with the server: see the [table](crate::grpc).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Unknown
            | Self::DeadlineExceeded
            | Self::Internal
            | Self::Unavailable
            | Self::DataLoss => true,
            Self::Ok
            | Self::Cancelled
            | Self::InvalidArgument
            | Self::NotFound
            | Self::AlreadyExists
            | Self::PermissionDenied
            | Self::ResourceExhausted
            | Self::FailedPrecondition
            | Self::Aborted
            | Self::OutOfRange
            | Self::Unimplemented
            | Self::Unauthenticated => false,
        }
    }

    /// What the status of a response says that comes from something other than gRPC, a proxy
    /// mostly, by gRPC's "HTTP to gRPC Status Code Mapping"; `None` where that is the 200 of
    /// every call.
    pub(super) const fn of_http(status: StatusCode) -> Option<Self> {
        Some(match status {
            StatusCode::OK => return None,
            StatusCode::BAD_REQUEST => Self::Internal,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::NOT_FOUND => Self::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Unavailable,
            _ => Self::Unknown,
        })
    }

    pub(super) const fn header(self) -> HeaderValue {
        HeaderValue::from_static(NUMBERS[self as usize])
    }
}

/// The code that tells a client what happened: see the [table](crate::grpc).
///
/// # Examples
///
/// ```
/// use fusebox_std::{grpc::{Code, code_of}, Error, Reason, Rejection};
///
/// let refused = Rejection::new(Reason::CircuitOpen).into();
/// assert_eq!(code_of(&refused), Code::Unavailable);
/// assert_eq!(code_of(&Error::TimedOut), Code::DeadlineExceeded);
/// ```
#[must_use]
pub fn code_of(error: &Error<Infallible>) -> Code {
    match error {
        Error::TimedOut => Code::DeadlineExceeded,
        Error::Rejected(rejection) => match rejection.reason() {
            Reason::RateLimited | Reason::ExceedsBurst => Code::ResourceExhausted,
            Reason::DeadlineExceeded => Code::DeadlineExceeded,
            Reason::NoKey => Code::InvalidArgument,
            _ => Code::Unavailable,
        },
        Error::Inner(never) => match *never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_written() {
        let mut headers = HeaderMap::new();
        assert_eq!(Code::of(&headers), None);
        for (number, code) in (0_u8..).zip(Code::ALL) {
            assert_eq!(code as u8, number);
            assert_eq!(code.header(), number.to_string());
            headers.insert(STATUS, code.header());
            assert_eq!(Code::of(&headers), Some(code));
        }
        for text in ["", "17", "-1", "+1", "01", "1 ", "OK", "99999999999999999999"] {
            headers.insert(STATUS, HeaderValue::from_static(text));
            assert_eq!(Code::of(&headers), Some(Code::Unknown), "{text:?}");
        }
    }

    #[test]
    fn failures_are_those_of_the_server() {
        let failures = Code::ALL.into_iter().filter(|code| code.is_failure());
        assert_eq!(failures.map(|code| code as u8).collect::<Vec<_>>(), [2, 4, 13, 14, 15]);
    }
}
