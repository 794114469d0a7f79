//! Refusals: answered by XDP itself, and what the client sends behind them.

use dfaas_common::{
    counters::FunctionCounters,
    flow::{CLIENT_FINISHED, Flow, Target},
    options::Options,
    peer::DEAD,
    route::SLOT_LOCAL,
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer, MAX_ANSWER},
    verdict::Verdict::{self, FirstRefused, FirstUnavailable, RefusalAcked, RefusalDone, RefusalRepeated},
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST};

use super::{
    first::LOCAL_ONE,
    row::{Row, row},
    world::{
        B, BUSY, CALL, CLIENT, Connection, ECHO_NUMBER, NO_FUNCTION, Now, SECRET, UNAVAILABLE, Where, by_slots, stamp,
        weighted,
    },
};

pub(crate) const REFUSED_ONE: FunctionCounters = FunctionCounters { local: 0, refused: 1, ..LOCAL_ONE };
const UNAVAILABLE_ONE: FunctionCounters = FunctionCounters { local: 0, unavailable: 1, ..LOCAL_ONE };

/// The whole answer to a segment, FIN included.
pub(crate) fn answer(to: &Frame, connection: Connection, text: &str) -> Frame {
    reply(to, connection).flags(FIN | PSH | ACK).payload(text)
}

fn reply(to: &Frame, connection: Connection) -> Frame {
    to.answered().sequence(connection.cookie.wrapping_add(1)).acknowledgement(to.end()).window(501)
}

/// With our stamp as the client has echoed it, and the client's echoed.
fn stamped(frame: &Frame, theirs: [u8; 12]) -> Frame {
    frame.clone().options(&[&theirs[..4], &theirs[8..], &theirs[4..8]].concat())
}

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [refused(now), unavailable(now), behind(now)].into_iter().flatten().collect()
}

fn refused(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let ends = |row: Row| {
        row.route(by_slots(&[]))
            .counts(REFUSED_ONE)
            .leaves(Where::Decided, c, c.flow(Target::Refused(ANSWER_BUSY)))
            .event(ECHO_NUMBER, *CLIENT.ip())
    };
    let case = |name: &str, first: Frame| {
        let answer = answer(&first, c, BUSY);
        ends(row(name, first)).sends(FirstRefused, answer)
    };
    let first = c.first(CALL);
    let s = c.stamping(now);
    let small = c.offering(&Options::NONE, SECRET.current, now.0);
    let stamp = s.first(CALL).options(&s.stamp());
    let stamped_answer = stamped(&answer(&stamp, s, BUSY), s.stamp());
    let both_down = case("every peer dead", first.clone())
        .route(weighted(&[(2, 1), (3, 1)]))
        .peer(B, |p| p.state = DEAD)
        .peer(super::world::C, |p| p.state = DEAD);
    vec![
        case("no weights", first.clone()),
        case("a short request: the frame grows", c.first("GET /function/echo ")),
        case("a long request: the frame shrinks", c.first(format!("{CALL}{}", "z".repeat(1000)))),
        case("a request in a padded frame", c.first(CALL).padded_to(400)),
        case("a request with TCP options but no timestamp", c.first(CALL).options(&[1; 40])),
        ends(row("a request of a client without window scaling", small.first(CALL)))
            .sends(FirstRefused, answer(&small.first(CALL), small, BUSY).window(64_240))
            .leaves(Where::Decided, small, small.flow(Target::Refused(ANSWER_BUSY))),
        case("a request with FIN", c.first(CALL).flags(ACK | FIN)).leaves(
            Where::Decided,
            c,
            Flow { finished: CLIENT_FINISHED, ..c.flow(Target::Refused(ANSWER_BUSY)) },
        ),
        ends(row("a request with a timestamp", stamp)).sends(FirstRefused, stamped_answer).leaves(
            Where::Decided,
            s,
            s.flow(Target::Refused(ANSWER_BUSY)),
        ),
        both_down,
        case("an answer of odd length", first.clone())
            .given(|b| {
                b.tables.set_answer(ANSWER_BUSY, &Answer::new(&BUSY.as_bytes()[..BUSY.len() - 1]).unwrap()).unwrap();
            })
            .sends(FirstRefused, answer(&first, c, &BUSY[..BUSY.len() - 1])),
        case("an answer without text", first.clone())
            .given(|b| b.tables.set_answer(ANSWER_BUSY, &Answer::new(b"").unwrap()).unwrap())
            .sends(FirstRefused, answer(&first, c, "")),
        case("an answer of the greatest length", c.first(format!("{CALL}{}", "z".repeat(600))))
            .given(|b| b.tables.set_answer(ANSWER_BUSY, &Answer::new(&[b'a'; MAX_ANSWER]).unwrap()).unwrap())
            .sends(FirstRefused, answer(&c.first(format!("{CALL}{}", "z".repeat(600))), c, &"a".repeat(MAX_ANSWER))),
        // Frames grow at the head, where the driver leaves little room: the longest answer must fit the shortest call.
        case("the greatest answer to the shortest call", c.first("GET /function/echo "))
            .given(|b| b.tables.set_answer(ANSWER_BUSY, &Answer::new(&[b'a'; MAX_ANSWER]).unwrap()).unwrap())
            .takes_all_room()
            .sends(FirstRefused, answer(&c.first("GET /function/echo "), c, &"a".repeat(MAX_ANSWER))),
    ]
}

fn unavailable(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let case = |name: &str, request: &str, function: u32| {
        let first = c.first(request);
        let answer = answer(&first, c, UNAVAILABLE);
        let flow = Flow { function, ..c.flow(Target::Refused(ANSWER_UNAVAILABLE)) };
        row(name, first)
            .without_service_listener()
            .without_placed_listener()
            .sends(FirstUnavailable, answer)
            .leaves(Where::Decided, c, flow)
            .event(function, *CLIENT.ip())
    };
    vec![
        case("no listener and no peer", CALL, ECHO_NUMBER).counts(UNAVAILABLE_ONE),
        case("no listener and nothing but this node's slots", CALL, ECHO_NUMBER)
            .route(weighted(&[(SLOT_LOCAL, 1)]))
            .counts(UNAVAILABLE_ONE),
        case("no listener for an unknown function", "GET /function/other HTTP/1.1\r\n\r\n", NO_FUNCTION),
        case("no listener for what is no call", "GET /healthz HTTP/1.1\r\n\r\n", NO_FUNCTION),
    ]
}

/// Behind the refusal.
fn behind(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let case =
        |name: &str, frame: Frame| row(name, frame).flow(Where::Decided, c, c.flow(Target::Refused(ANSWER_BUSY)));
    let repeats = |name: &str, frame: Frame| {
        let answer = answer(&frame, c, BUSY);
        case(name, frame).sends(RefusalRepeated, answer)
    };
    let acks = |name: &str, frame: Frame| {
        let ack = ack(&frame, c);
        case(name, frame).sends(RefusalAcked, ack)
    };
    let done = |name: &str, frame: Frame| case(name, frame).drops(RefusalDone as Verdict);
    let body = |at: u32| c.ack().sequence(c.isn + at).payload([7; 100]);
    let stamped_body = body(400).acknowledgement(c.cookie + 50).options(&stamp(77));
    let stamped_ack = stamped(&ack(&stamped_body, c), stamp(77));
    vec![
        repeats("refused: the call again", c.first(CALL)),
        repeats("refused: more of the body before the answer is acknowledged", body(200)),
        repeats("refused: FIN before the answer is acknowledged", c.ack().flags(FIN | ACK)),
        acks("refused: body behind the acknowledged answer", body(200).acknowledgement(c.cookie + 50)),
        acks("refused: FIN behind the acknowledged answer", c.later().flags(FIN | ACK)),
        acks("refused: FIN with data", body(300).acknowledgement(c.cookie + 50).flags(FIN | ACK)),
        acks("refused: a full packet of body", body(200).acknowledgement(c.cookie + 50).payload([7; 1400])),
        case("refused: body with a timestamp", stamped_body).sends(RefusalAcked, stamped_ack),
        done("refused: acknowledged", c.later()),
        done("refused: bare ACK of the handshake, late", c.ack()),
        done("refused: reset", c.later().flags(RST)),
        done("refused: reset with ACK", c.ack().flags(RST | ACK)),
    ]
}

/// Behind our SYN, the answer and our FIN.
fn ack(to: &Frame, connection: Connection) -> Frame {
    reply(to, connection).flags(ACK).sequence(connection.cookie.wrapping_add(2 + BUSY.len() as u32))
}
