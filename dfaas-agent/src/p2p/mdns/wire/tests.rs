use super::*;

const PEER: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

fn service(instance: &str) -> Service {
    Service::new("dfaasagent-mYRGdJPC3chmJ", instance).unwrap()
}

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| format!("{text}/p2p/{PEER}").parse().unwrap()).collect()
}

fn label(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// The name of the service, whole.
fn service_name() -> Vec<u8> {
    [label("dfaasagent-mYRGdJPC3chmJ"), label("local"), vec![0]].concat()
}

#[test]
fn a_question_has_these_bytes() {
    let head = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let expected = [&head[..], &service_name(), &[0, 12, 0, 1]].concat();
    assert_eq!(service("a").question().unwrap(), expected);
}

#[test]
fn an_answer_has_these_bytes() {
    let bytes = service("a").answer(&addresses(&["/ip4/10.0.0.1/tcp/31600"]), None).unwrap();
    // Names that came before are pointers to their first place: the service is at 12, the instance at 54.
    let text = label(&format!("dnsaddr=/ip4/10.0.0.1/tcp/31600/p2p/{PEER}"));
    let ttl = 4500_u32.to_be_bytes();
    let expected = [
        &[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 3][..],
        &service_name(),
        &[0, 12, 0, 1],
        &ttl,
        &[0, 4, 1, b'a', 0xc0, 12],
        &[0xc0, 54, 0, 33, 0, 1],
        &ttl,
        // In an SRV record no pointer is written: RFC 2782.
        &[0, 15, 0, 0, 0, 0, 0x0f, 0xa1, 1, b'a', 5, b'l', b'o', b'c', b'a', b'l', 0],
        &[0xc0, 54, 0, 16, 0, 1],
        &ttl,
        &(text.len() as u16).to_be_bytes(),
        &text,
    ]
    .concat();
    assert_eq!(bytes[..expected.len()], expected);
    assert!(bytes.ends_with(&[0, 1, 0, 1, 0, 0, 0, 120, 0, 4, 10, 0, 0, 1]), "the address of the host");
}

#[test]
fn what_one_node_says_another_understands() {
    let (one, other) = (service("one"), service("other"));
    assert_eq!(other.hear(&one.question().unwrap()), Heard::Question(0));
    let said = addresses(&["/ip4/10.0.0.1/tcp/31600", "/ip6/2001:db8::1/tcp/31600"]);
    let answer = one.answer(&said, None).unwrap();
    assert_eq!(other.hear(&answer), Heard::Nodes(said.clone()));
    assert_eq!(one.hear(&answer), Heard::Nothing, "its own words");
    let alone = one.answer(&said, Some(7)).unwrap();
    assert_eq!((&alone[..2], &alone[4..6]), (&[0, 7][..], &[0, 1][..]));
    assert_eq!(other.hear(&alone), Heard::Nodes(said));
}

#[test]
fn other_services_are_left_alone_and_letters_may_be_large_or_small() {
    let ours = service("a");
    let others = Service::new("_p2p._udp", "b").unwrap();
    assert_eq!(ours.hear(&others.question().unwrap()), Heard::Nothing);
    let answer = others.answer(&addresses(&["/ip4/10.0.0.1/tcp/1"]), None).unwrap();
    assert_eq!(ours.hear(&answer), Heard::Nothing);
    let small = Service::new("dfaasagent-myrgdjpc3chmj", "c").unwrap();
    assert_eq!(ours.hear(&small.question().unwrap()), Heard::Question(0));
}

#[test]
fn a_question_for_an_answer_to_its_asker_alone_is_understood() {
    let mut question = service("a").question().unwrap();
    let class = question.len() - 2;
    question[class] = 0x80;
    assert_eq!(service("b").hear(&question), Heard::Question(0));
}

#[test]
fn broken_packets_are_nothing_and_an_answer_is_bounded() {
    let ours = service("ours");
    let many: Vec<String> = (0..200).map(|i| format!("/ip4/10.0.0.{i}/tcp/1")).collect();
    let many = addresses(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let answer = service("other").answer(&many, None).unwrap();
    assert!(matches!(ours.hear(&answer), Heard::Nodes(nodes) if nodes.len() == MAX_TEXTS));
    let answer = service("other").answer(&many[..3], None).unwrap();
    for length in 0..answer.len() {
        ours.hear(&answer[..length]);
    }
    let mut mutated = answer.clone();
    for at in 0..answer.len() {
        for byte in [0, 0x3f, 0x80, 0xc0, 0xff] {
            mutated[at] = byte;
            ours.hear(&mutated);
        }
        mutated[at] = answer[at];
    }
}

#[test]
fn a_rendezvous_that_is_no_name_is_refused() {
    let error = Service::new(&"x".repeat(64), "a").unwrap_err().to_string();
    assert!(error.contains("63"), "{error}");
}
