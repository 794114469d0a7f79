//! The verifier accepts every program; its cost is printed.

use dfaas_agent::kernel::{
    load::{self, KernelSettings},
    mode::Mode,
    object,
    pins::Pins,
};

#[test]
fn the_verifier_accepts_every_program() {
    let pins = Pins::new(format!("/sys/fs/bpf/dfaas-test-{}", std::process::id()));
    let settings = KernelSettings {
        interface: "lo".into(),
        service: "10.0.0.1:80".parse().unwrap(),
        tunnel: "10.0.0.1".parse().unwrap(),
        placed: "127.0.0.1:10080".parse().unwrap(),
        handoff: "127.0.0.1:10081".parse().unwrap(),
        aliases: ("169.254.64.0".parse().unwrap(), 18),
        pins: pins.clone(),
    };
    let result = load::load(object::embedded().unwrap(), &settings, Mode::Handoff).and_then(|mut ebpf| {
        for name in ["dfaas_observe", "dfaas_pass"] {
            load::load_program(&mut ebpf, name)?;
        }
        for (name, program) in ebpf.programs() {
            let info = program.info()?;
            println!(
                "{name}: {} instructions verified, {} bytes jited",
                info.verified_instruction_count().unwrap_or(0),
                info.size_jitted()
            );
        }
        Ok(())
    });
    pins.remove_all().unwrap();
    if let Err(e) = result {
        panic!("{e:#}");
    }
}
