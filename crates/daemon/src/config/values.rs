//! Parses and checks values of keys.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use guest_store::config_file::Invalid;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

/// A number of seconds in the file, whose range is checked later.
#[derive(Clone, Copy)]
pub(super) struct Seconds(u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Seconds, E> {
                let wrong = || E::invalid_value(de::Unexpected::Signed(value), &self);
                u64::try_from(value).map(Seconds).map_err(|_| wrong())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Seconds, E> {
                Ok(Seconds(value))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

/// A duration, or `default` seconds if the key is missing.
pub(super) fn seconds(
    given: Option<&Spanned<Seconds>>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<Duration, Invalid> {
    let Some(given) = given else { return Ok(Duration::from_secs(default)) };
    let Seconds(seconds) = *given.get_ref();
    if range.contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    let (least, most) = (range.start(), range.end());
    let text =
        format!("{seconds} is out of range, expected a number of seconds from {least} to {most}");
    Err((given.span(), text))
}

/// Whether names that end in this one are asked for by multicast DNS (RFC 6762, 3), and not by look-ups.
pub(super) fn is_of_multicast_dns(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("local"))
}

pub(super) fn subnet(given: &Spanned<String>) -> Result<IpNet, Invalid> {
    given.get_ref().parse().map_err(|_| {
        let text = format!(
            "\"{}\" is not a subnet, expected one such as \"192.168.1.0/24\" or \"2001:db8::/64\"",
            given.get_ref().escape_debug()
        );
        (given.span(), text)
    })
}
