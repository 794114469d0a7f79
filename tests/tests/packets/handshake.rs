//! SYNs, and segments that are no data.

use dfaas_common::{
    flow::{Flow, Target},
    options::{NO_WINDOW_SCALE, Options},
    verdict::Verdict::{
        CloseWithoutData, EarlyLater, HandshakeAck, NoAckFlag, NoCookie, ProbeAnswered, SynAnswered, SynMalformed,
    },
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST, SYN};

use super::{
    row::{Row, row},
    world::{B, CALL, Connection, HERE, Now, SECRET, SERVICE, Where},
};

const MSS: [u8; 4] = [2, 4, 5, 0xb4];
const SACK: [u8; 2] = [4, 2];
const STAMP: [u8; 10] = [8, 10, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0];
const SCALE: [u8; 3] = [3, 3, 7];

/// What a client offers.
#[derive(Clone, Copy)]
struct Offer {
    mss: u16,
    scale: Option<u8>,
    sack: bool,
    stamp: Option<u32>,
}

const LINUX: Offer = Offer { mss: 1460, scale: Some(7), sack: true, stamp: Some(0x1122_3344) };
const NOTHING: Offer = Offer { mss: 0, scale: None, sack: false, stamp: None };

impl Offer {
    /// Is window scaling and SACK agreed to? Without timestamps there is room in the cookie for the usual alone.
    fn scales(&self) -> bool {
        self.scale.is_some() && (self.stamp.is_some() || self.is_usual())
    }

    fn sacks(&self) -> bool {
        self.sack && (self.stamp.is_some() || self.is_usual())
    }

    fn is_usual(&self) -> bool {
        self.scale == Some(8) && self.sack && self.mss >= 1220
    }

    fn options(&self) -> Options {
        Options {
            mss: self.mss,
            window_scale: self.scale.unwrap_or(NO_WINDOW_SCALE),
            sack: self.sack,
            has_timestamp: self.stamp.is_some(),
            ..Options::NONE
        }
    }
}

/// The row of a SYN with these options.
fn answered(now: Now, name: &str, options: &[u8], offer: Offer) -> Row {
    answered_as(name, Connection::new(now).syn().options(options), offer, (SECRET.current, now.0))
}

fn answered_as(name: &str, syn: Frame, offer: Offer, made_by: (dfaas_common::siphash::Key, u32)) -> Row {
    let Connection { isn, cookie, stamp, .. } =
        Connection::new(Now(0)).offering(&offer.options(), made_by.0, made_by.1);
    let answer = syn.answered().flags(SYN | ACK).sequence(cookie).acknowledgement(isn + 1).window(64240);
    let options = move |ours: u32| {
        // 1400 is what fits the tunnel.
        let mut options = vec![2, 4, 5, 0x78];
        options.extend(if offer.sacks() { SACK } else { [1; 2] });
        match offer.stamp {
            Some(theirs) => options.extend([&[8, 10][..], &ours.to_be_bytes(), &theirs.to_be_bytes()].concat()),
            None => options.extend([1; 10]),
        }
        options.extend(if offer.scales() { [1, 3, 3, 7] } else { [1; 4] });
        options
    };
    row(name, syn).sends(SynAnswered, answer.options(&options(stamp)))
}

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [mixes(now), sizes(now), oddities(now), keys(now), no_data(now), probes(now)].into_iter().flatten().collect()
}

/// Every mix of the options that matter.
fn mixes(now: Now) -> Vec<Row> {
    (0..16)
        .map(|mix| {
            let (mut offer, mut options, mut name) = (NOTHING, Vec::new(), String::from("SYN with"));
            for (bit, text, bytes) in
                [(1, " MSS", &MSS[..]), (2, " SACK", &SACK), (4, " timestamp", &STAMP), (8, " scale", &SCALE)]
            {
                if mix & bit != 0 {
                    options.extend(bytes);
                    name += text;
                    match bit {
                        1 => offer.mss = 1460,
                        2 => offer.sack = true,
                        4 => offer.stamp = LINUX.stamp,
                        _ => offer.scale = LINUX.scale,
                    }
                }
            }
            if mix == 0 {
                name += " no options";
            }
            answered(now, &name, &options, offer)
        })
        .collect()
}

/// Segment sizes are remembered as they are, or in three steps without timestamps.
fn sizes(now: Now) -> Vec<Row> {
    let row = |name: &str, mss: u16, options: &[u8], offer| {
        let [high, low] = mss.to_be_bytes();
        let options = [&[2, 4, high, low][..], options].concat();
        answered(now, &format!("SYN with an MSS of {mss}{name}"), &options, Offer { mss, ..offer })
    };
    let linux = [&SACK[..], &STAMP, &[1], &SCALE].concat();
    let windows = [&[1, 3, 3, 8, 1, 1][..], &SACK].concat();
    let usual = Offer { scale: Some(8), stamp: None, ..LINUX };
    [0u16, 500, 536, 1219, 1220, 1359, 1360, 1399, 1400, 65535]
        .into_iter()
        .flat_map(|mss| {
            [
                row(" alone", mss, &[], NOTHING),
                row(" of Linux", mss, &linux, LINUX),
                row(" of Windows", mss, &windows, usual),
            ]
        })
        .collect()
}

fn oddities(now: Now) -> Vec<Row> {
    let all = [&MSS[..], &SACK, &STAMP, &[1], &SCALE].concat();
    let odd = |name: &str, options: &[u8], offer| answered(now, name, options, offer);
    let made_by = (SECRET.current, now.0);
    let syn = Connection::new(now).syn().options(&all);
    vec![
        odd("SYN with forty bytes of nothing", &[1; 40], NOTHING),
        odd("SYN with unknown options before the known", &[&[254, 6, 1, 2, 3, 4][..], &all].concat(), LINUX),
        odd("SYN with an end of options before the known", &[&[0][..], &all].concat(), NOTHING),
        odd("SYN with an option of length 0", &[&[9, 0][..], &all].concat(), NOTHING),
        odd("SYN with an option of length 1", &[&[2, 1][..], &all].concat(), NOTHING),
        odd(
            "SYN with an option that claims more than there is",
            &[&SACK[..], &[254, 40]].concat(),
            Offer { sack: true, ..NOTHING },
        ),
        odd("SYN with options of wrong lengths", &[2, 3, 5, 4, 3, 1, 8, 4, 0, 0, 3, 4, 7, 7], NOTHING),
        odd("SYN with the MSS twice", &[2, 4, 5, 0xb4, 2, 4, 2, 0], NOTHING),
        odd("SYN with a scale above fourteen", &[3, 3, 200], Offer { scale: Some(14), ..NOTHING }),
        odd("SYN with a scale of zero", &[3, 3, 0], Offer { scale: Some(0), ..NOTHING }),
        odd("SYN with forty bytes of options", &[&all[..], &[1; 20]].concat(), LINUX),
        answered_as("SYN with data", syn.clone().payload(CALL), LINUX, made_by),
        answered_as("SYN with a full packet of data", syn.clone().payload([7; 1420]), LINUX, made_by),
        answered_as("SYN in a padded frame", syn.clone().padded_to(90), LINUX, made_by),
        answered_as(
            "SYN without options in a padded frame",
            Connection::new(now).syn().padded_to(60),
            NOTHING,
            made_by,
        ),
        answered_as("SYN that offers ECN", syn.clone().flags(SYN | 0xc0), LINUX, made_by),
        answered_as("SYN with PSH and URG", syn.clone().flags(SYN | PSH | 0x20), LINUX, made_by),
        answered_as("SYN with an acknowledgement number but no flag", syn.acknowledgement(99), LINUX, made_by),
    ]
}

fn keys(now: Now) -> Vec<Row> {
    let connection = Connection::new(now);
    let syn = || connection.syn().options(&MSS);
    let offer = Offer { mss: 1460, ..NOTHING };
    let switch = |row: Row, epoch: u32| {
        row.given(move |b| {
            let mut control = b.tables.control().unwrap();
            control.secret.switch_epoch = epoch;
            b.tables.set_control(&control).unwrap();
        })
    };
    let old = connection.flow(Target::Peer(B));
    let local = connection.flow(HERE);
    let newer = |flow: Flow| Flow { newer_isn: 0x2000_0000, ..flow };
    let again = |flow| {
        let mut row = answered(now, "", &MSS, offer);
        let syn = Connection { isn: 0x2000_0000, ..connection }.offering(&offer.options(), SECRET.current, now.0);
        let frame = syn.syn().options(&MSS);
        let answer = frame.answered().flags(SYN | ACK).sequence(syn.cookie).acknowledgement(syn.isn + 1).window(64240);
        row.frame = frame.bytes();
        let options = [&[2, 4, 5, 0x78][..], &[1; 16]].concat();
        row = row.sends(SynAnswered, answer.options(&options));
        (row, newer(flow))
    };
    let named = |(mut row, flow): (Row, Flow), name: &str, place: Where, old: Flow| {
        row.name = name.into();
        row.flow(place, connection, old).leaves(place, connection, flow)
    };
    vec![
        switch(answered_as("SYN in the epoch of the next key", syn(), offer, (SECRET.next, now.0)), now.0),
        switch(answered_as("SYN before the epoch of the next key", syn(), offer, (SECRET.current, now.0)), now.0 + 1),
        named(again(old), "SYN on the tuple of a forwarded connection", Where::Forwarded, old),
        named(again(local), "SYN on the tuple of a local connection", Where::Decided, local),
    ]
}

fn no_data(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let forged = |bit: u32| Connection { cookie: c.cookie ^ 1 << bit, ..c };
    vec![
        row("SYN and ACK", c.syn().flags(SYN | ACK)).drops(SynMalformed),
        row("SYN and RST", c.syn().flags(SYN | RST)).drops(SynMalformed),
        row("SYN and FIN", c.syn().flags(SYN | FIN)).drops(SynMalformed),
        row("every flag", c.syn().flags(0xff)).drops(SynMalformed),
        row("no flag", c.ack().flags(0)).drops(NoAckFlag),
        row("FIN alone", c.ack().flags(FIN)).drops(NoAckFlag),
        row("data without ACK", c.first(CALL).flags(PSH)).drops(NoAckFlag),
        row("bare ACK of the handshake", c.ack()).drops(HandshakeAck),
        row("bare ACK in a padded frame", c.ack().padded_to(60)).drops(HandshakeAck),
        row("bare ACK with a forged tag of the tuple", forged(31).ack()).passes(NoCookie),
        row("FIN behind the handshake", c.ack().flags(FIN | ACK)).passes(CloseWithoutData),
        row("reset behind the handshake", c.ack().flags(RST | ACK)).passes(NoCookie),
        row("reset without ACK", c.ack().flags(RST)).passes(NoCookie),
        row("reset with data", c.first(CALL).flags(RST | ACK)).passes(NoCookie),
    ]
}

/// A pool that has opened a connection asks whether we are still there (RFC 9293, 3.8.4).
fn probes(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let s = c.stamping(now);
    let plain = c.offering(&Options::NONE, SECRET.current, now.0);
    let probe = |c: Connection| c.ack().sequence(c.isn);
    let answered = |name: &str, c: Connection, frame: Frame, window: u16, options: &[u8]| {
        let answer = frame.answered().sequence(c.cookie.wrapping_add(1)).acknowledgement(c.isn.wrapping_add(1));
        let answer = answer.flags(ACK).window(window).options(options);
        row(format!("keep-alive probe: {name}"), frame).sends(ProbeAnswered, answer)
    };
    let back = [&[1, 1, 8, 10][..], &s.stamp()[8..], &s.stamp()[4..8]].concat();
    vec![
        answered("without data", c, probe(c), 501, &[]),
        answered("with a byte of nothing", c, probe(c).payload("x"), 501, &[]),
        answered("in a padded frame", c, probe(c).padded_to(60), 501, &[]),
        answered("of a client without window scaling", plain, probe(plain), 64_240, &[]),
        answered("with timestamps", s, probe(s).options(&s.stamp()), 501, &back),
        row("keep-alive probe: two bytes", probe(c).payload("xy")).drops(EarlyLater),
        row("keep-alive probe: with FIN", probe(c).flags(FIN | ACK)).drops(EarlyLater),
        row("keep-alive probe: another number", probe(c).sequence(c.isn.wrapping_sub(1))).drops(EarlyLater),
        row("keep-alive probe: on a connection that the stack has", probe(c))
            .given(move |b| b.connect(c.from, SERVICE))
            .passes(NoCookie),
    ]
}
