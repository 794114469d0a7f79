//! What is there of our table, from `nft --json list table`.

use serde_json::Value;

use super::rules::Rules;

/// Packets on their way through the host since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) arrived: u64,
    pub(super) delivered: u64,
    pub(super) leaving: u64,
    pub(super) left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Absent,
    /// There, but of another node, another version, or changed by hand.
    Other,
    Ours(Counters),
}

/// Compares a listing with what is wanted: all rules, each with the mark, and no others.
pub(super) fn compare(listing: &Value, rules: &Rules) -> Found {
    let items = listing["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let listed = |kind: &'static str| items.iter().map(move |item| &item[kind]).filter(|item| !item.is_null());
    let marked = listed("rule").filter(|rule| rule["comment"] == rules.mark.as_str()).count();
    if marked != rules.count || listed("rule").count() != rules.count {
        return Found::Other;
    }
    let packets = |name: &str| {
        let counter = listed("counter").find(|counter| counter["name"] == name);
        counter.and_then(|counter| counter["packets"].as_u64()).unwrap_or(0)
    };
    Found::Ours(Counters {
        arrived: packets("arrived"),
        delivered: packets("delivered"),
        leaving: packets("leaving"),
        left: packets("left"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules { table: "dfaas_eth0".into(), mark: "abc".into(), count: 2, text: String::new() }
    }

    fn listing(comments: &[&str]) -> Value {
        let mut items = vec![
            json!({"metainfo": {"version": "1.0.6"}}),
            json!({"counter": {"name": "arrived", "packets": 7, "bytes": 1}}),
        ];
        items.extend(comments.iter().map(|comment| json!({"rule": {"comment": comment}})));
        json!({ "nftables": items })
    }

    #[test]
    fn a_whole_table_is_ours_with_its_counters() {
        let counters = Counters { arrived: 7, ..Counters::default() };
        assert_eq!(compare(&listing(&["abc", "abc"]), &rules()), Found::Ours(counters));
    }

    #[test]
    fn a_table_that_lacks_a_rule_or_has_a_foreign_one_is_not() {
        for comments in [&["abc"][..], &["abc", "other"], &["abc", "abc", "other"], &[]] {
            assert_eq!(compare(&listing(comments), &rules()), Found::Other, "{comments:?}");
        }
    }
}
