use super::*;

fn load(overrides: &[&str]) -> Result<Scenario, ScenarioError> {
    let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
    Scenario::from_text("iown-47t2", SHIPPED[0].1, &overrides)
}

#[test]
fn the_default_scenario_is_the_demonstration() {
    let scenario = load(&[]).expect("it ships");
    assert_eq!(scenario.data.slot_centres_thz().len(), 118, "118 slots of 400 Gb/s are 47.2 Tb/s");
    assert!((scenario.link.length_km - 25.0).abs() < 1e-12, "25 km");
}

#[test]
fn values_are_overridden_by_name() {
    let scenario = load(&["link.length_km=50", "data.direction=counter"]).expect("both are there");
    assert!((scenario.link.length_km - 50.0).abs() < 1e-12, "a whole number for a real one");
    assert_eq!(scenario.data.direction, Direction::Counter, "a word without quotes");
    for wrong in ["link.length_km", "link.lenght_km=5", "nowhere.key=1"] {
        assert!(matches!(load(&[wrong]), Err(ScenarioError::Override { .. })), "{wrong}");
    }
}

#[test]
fn mistakes_name_line_and_field() {
    let text = SHIPPED[0].1.replace("length_km = 25.0", "length_km = -3.0");
    let error = Scenario::from_text("my.toml", &text, &[]).expect_err("no such length").to_string();
    let line = text.lines().position(|line| line.starts_with("length_km")).expect("there") + 1;
    assert!(error.starts_with(&format!("my.toml, line {line}: link.length_km = -3")), "{error}");
    let text = SHIPPED[0].1.replace("clock_ghz", "clock_mhz");
    let error = Scenario::from_text("my.toml", &text, &[]).expect_err("another unit").to_string();
    assert!(error.contains("line") && error.contains("clock_mhz"), "{error}");
    let overlap = load(&["data.slot_ghz=150"]);
    assert!(overlap.is_err(), "the L band would run into the C band");
    assert!(matches!(Scenario::shipped("nowhere"), Err(ScenarioError::Unknown { .. })), "no such scenario");
}

#[test]
fn what_calibration_says_is_never_assumed() {
    for key in [
        "mean_photons",
        "mean_photon_spread",
        "probabilities",
        "probability_spread",
        "calibration_epsilon",
        "calibration_blocks",
        "receiver_efficiency",
        "receiver_efficiency_spread",
        "electronic_noise_snu",
        "electronic_noise_spread_snu",
        "calibration_samples",
    ] {
        let kept = |line: &&str| line.split('=').next().is_none_or(|name| name.trim() != key);
        let text: Vec<&str> = SHIPPED[0].1.lines().filter(kept).collect();
        let error = Scenario::from_text("my.toml", &text.join("\n"), &[]).expect_err("absent").to_string();
        assert!(error.contains("line") && error.contains(&format!("missing field `{key}`")), "{error}");
    }
}

#[test]
fn impossible_values_name_line_and_field() {
    for (line, field) in [
        ("launch_power_dbm = 77.0", "data.launch_power_dbm"),
        ("first_slot_thz = [186.2, 187.0]", "data.first_slot_thz"),
        ("wavelength_nm = 1200.0", "bb84.wavelength_nm"),
        ("fibre = \"G.999\"", "link.fibre"),
        ("detector_efficiency = -0.2", "bb84.detector_efficiency"),
        ("modulation_variance_snu = -4.0", "cv.modulation_variance_snu"),
        ("adc_bits = 99", "cv.receiver.adc_bits"),
        ("gain_db = -3.0", "amplifier.gain_db"),
    ] {
        let key = line.split(' ').next().expect("a key");
        let mut number = 0;
        let replaced: Vec<&str> = SHIPPED[0]
            .1
            .lines()
            .enumerate()
            .map(|(at, given)| {
                if number == 0 && given.split(' ').next() == Some(key) {
                    number = at + 1;
                    return line;
                }
                given
            })
            .collect();
        let error = Scenario::from_text("my.toml", &replaced.join("\n"), &[]).expect_err("wrong").to_string();
        assert!(error.starts_with(&format!("my.toml, line {number}: {field} = ")), "{line}: {error}");
    }
}

#[test]
fn every_scenario_that_ships_is_good_and_bears_its_name() {
    assert_eq!(SHIPPED.map(|(name, _)| name).as_slice(), NAMES, "the list is complete");
    for (name, text) in SHIPPED {
        let scenario = Scenario::from_text(name, text, &[]).expect("good values");
        assert_eq!(scenario.name, name, "the name in records");
    }
}

#[test]
fn a_fibre_comes_from_its_file() {
    let read = |name: &str| match name {
        "lab.toml" => {
            Ok("name = \"lab\"\nattenuation = [[1300.0, 0.4], [1540.0, 0.25], [1620.0, 0.3]]\n".to_owned())
        }
        "short.toml" => Ok("name = \"short\"\n\nattenuation = [[1310.0, 0.4], [1550.0, 0.25]]\n".to_owned()),
        "wrong.toml" => Ok("name = \"wrong\"\nattenuation = [[1310.0, -0.4]]\n".to_owned()),
        "bad.toml" => Ok("\nattenuation = 3\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let load = |fibre: &str| {
        Scenario::from_files("iown-47t2", SHIPPED[0].1, &[format!("link.fibre={fibre}")], &read)
    };
    let scenario = load("lab.toml").expect("a good fibre");
    assert_eq!(scenario.fibre().name, "lab", "its name");
    assert!((scenario.fibre().attenuation_db_per_km(1420.0) - 0.325).abs() < 1e-9, "interpolated");
    let error = load("bad.toml").expect_err("no pairs").to_string();
    assert!(error.starts_with("bad.toml, line 2"), "{error}");
    let error = load("wrong.toml").expect_err("a fibre that amplifies").to_string();
    assert!(error.starts_with("wrong.toml, line 2: fibre.attenuation = "), "{error}");
    assert!(load("none.toml").is_err(), "no file");
    let error = load("short.toml").expect_err("nothing known beyond 1550 nm").to_string();
    let told = "short.toml, line 3: fibre.attenuation = points from 1310 to 1550 nm: points from 1310.0 to 1610.1 nm";
    assert!(error.starts_with(told), "{error}");
}

#[test]
fn properties_of_another_fibre_do_not_pass_unseen() {
    let given = "fibre.backscatter_per_s=7";
    let error = load(&[given]).expect_err("G.652.D has its own").to_string();
    assert!(error.starts_with(&format!("--set {given}: link.fibre = \"G.652.D\": the name in")), "{error}");
    assert!(load(&["fibre.name=mine", "link.fibre=mine", given]).is_ok(), "named, they count");
}

#[test]
fn the_second_fibre_differs_in_what_is_said_of_it() {
    let own = "\n[second.link]\nlength_km = 40.0\nfibre = \"G.654.E\"\n\n[second.data]\nslots = [59, 20]\n";
    let text = format!("{}{own}", SHIPPED[0].1);
    let given = ["data.launch_power_dbm=12".to_owned(), "second.data.modem.occupancy=0.7".to_owned()];
    let scenario = Scenario::from_text("my.toml", &text, &given).expect("good values");
    let second = scenario.on(Ride::Second);
    assert!((second.link.length_km - 40.0).abs() < 1e-12, "its length");
    assert_eq!(second.fibre().name, "G.654.E", "its type");
    assert_eq!(second.carriers().len(), 79, "its comb");
    assert!((second.data.launch_power_dbm - 12.0).abs() < 1e-12, "the first one's power");
    assert!((second.data.modem.occupancy - 0.7).abs() < 1e-12, "an override of its own");
    assert_eq!(
        second.data.modem.preamplifier_noise_figure_db,
        scenario.data.modem.preamplifier_noise_figure_db
    );
    assert_eq!(second.data.direction, Direction::Counter, "against the first one's data");
    assert_eq!(scenario.on(Ride::First).carriers().len(), 118, "the first is as it was");
    assert!((scenario.data.modem.occupancy - 0.85).abs() < 1e-12, "in all");
    assert_eq!(scenario.fibres(), [Ride::First, Ride::Second], "both are told of");
    assert_eq!(load(&[]).expect("it ships").fibres(), [Ride::First], "a mirror image is not");
}

#[test]
fn signals_of_the_second_fibre_run_the_other_way_unless_said() {
    let load = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("eight-hours").expect("it ships");
        Scenario::from_text("eight-hours", text, &overrides).expect("good values").on(Ride::Second).signal
    };
    assert_eq!(load(&[])[0].direction, Direction::Counter, "mirrored");
    let louder = load(&["second.signal.0.power_dbm=-3"]);
    assert_eq!((louder[0].power_dbm, louder[0].direction), (-3.0, Direction::Counter), "one value of them");
    assert_eq!(load(&["second.signal=[]"]), [], "none at all");
}

#[test]
fn mistakes_of_the_second_fibre_name_line_and_field() {
    for (given, told) in [
        ("second.link.length_km=-3", "second.link.length_km = -3"),
        ("second.link.fibre=glass", "second.link.fibre = \"glass\""),
        ("second.data.launch_power_dbm=99", "second.data.launch_power_dbm = 99"),
        ("second.data.slots=[100,59]", "second.data.first_slot_thz = "),
        ("second.data.slots.1=20.5", "invalid type"),
        ("second.filters.add_loss_db=-1", "second.filters.add_loss_db = -1"),
        ("second.fibre.kappa=[[1.0,99.0]]", "second.fibre.kappa = "),
        ("second.bb84.clock_ghz=2", "unknown field `bb84`"),
    ] {
        let error = load(&[given]).expect_err("impossible").to_string();
        assert!(error.starts_with(&format!("--set {given}: {told}")), "{error}");
    }
    let error = load(&["second.lnik.length_km=5"]).expect_err("no such name").to_string();
    assert!(error.contains("did you mean second.link.length_km?"), "{error}");
    for (own, field) in [
        ("[second.link]\n\nlength_km = -3.0\n", "second.link.length_km = -3"),
        ("[second.data]\n\nslot_ghz = 150.0\n", "second.data.first_slot_thz = "),
        (
            "[[second.signal]]\nname = \"x\"\npower_dbm = 99.0\nwavelength_nm = 1500.0\ndirection = \"co\"\n",
            "second.signal.0.power_dbm = 99",
        ),
        ("[second.data]\n\nslots = \"many\"\n", "second.data.slots: invalid type"),
    ] {
        let text = format!("{}\n{own}", SHIPPED[0].1);
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string();
        let first = SHIPPED[0].1.lines().count() + 2;
        let lines = [first, first + 2];
        assert!(
            lines.iter().any(|line| error.starts_with(&format!("my.toml, line {line}: {field}"))),
            "{error}"
        );
    }
}

#[test]
fn each_fibre_may_come_from_a_file() {
    let read = |name: &str| match name {
        "one.toml" => Ok("name = \"one\"\nbackscatter_per_s = 7.0\n".to_owned()),
        "two.toml" => Ok("name = \"two\"\n\neffective_area_um2 = 110.0\n".to_owned()),
        _ => Ok("raman_strength = 1.0\neffective_area_um2 = 5.0\n".to_owned()),
    };
    let load = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Scenario::from_files("iown-47t2", SHIPPED[0].1, &overrides, &read)
    };
    let both = load(&["link.fibre=one.toml", "second.link.fibre=two.toml"]).expect("good fibres");
    let [one, two] = [both.fibre(), both.on(Ride::Second).fibre()];
    assert_eq!((one.name.as_str(), two.name.as_str()), ("one", "two"), "their names");
    assert!(
        (two.effective_area_um2 - 110.0).abs() < 1e-12 && (two.backscatter_per_s - 8.0).abs() < 1e-12,
        "{two:?}"
    );
    let shared = load(&["link.fibre=one.toml"]).expect("a good fibre");
    assert_eq!(shared.on(Ride::Second).fibre().name, "one", "the first one's, where nothing is said");
    let error = load(&["second.link.fibre=three.toml"]).expect_err("too small").to_string();
    assert!(error.starts_with("three.toml, line 2: second.fibre.effective_area_um2 = 5"), "{error}");
}

#[test]
fn a_bad_override_is_told_as_such() {
    for (given, told) in [
        ("data.launch_power_dbm=99", "data.launch_power_dbm = 99"),
        ("bb84.clock_ghz=fast", "invalid type: string \"fast\", expected a number"),
        ("link.fibre=glass", "link.fibre = "),
        ("data.slots=[59,9999]", "data.slots = "),
        // What breaks the rule of another value, or a part of a value.
        ("data.slots=[100,59]", "data.first_slot_thz = "),
        ("bb84.clock_ghz=8", "bb84.gate_ps = 200"),
        ("bb84.mean_photons.0=3", "bb84.mean_photons = [3.0"),
        ("cv.block_s=0.02", "cv.sample_symbols = 200000"),
        ("fibre.dispersion_ps_per_nm_km=nan", "fibre.dispersion_ps_per_nm_km = NaN"),
    ] {
        // Whatever else is given, before or behind.
        for all in [vec![given], vec!["link.length_km=50", given, "cv.frame_ms=5"]] {
            let error = load(&all).expect_err("impossible").to_string();
            assert!(error.starts_with(&format!("--set {given}: {told}")), "{error}");
        }
    }
    let repaired = load(&["bb84.clock_ghz=8", "bb84.gate_ps=100"]);
    assert!(repaired.is_ok(), "together they are possible: {repaired:?}");
}

#[test]
fn a_name_that_is_misspelt_is_told_with_the_one_that_was_meant() {
    for (given, meant) in [
        ("link.lenght_km=5", "did you mean link.length_km?"),
        ("lnik.length_km=5", "did you mean link.length_km?"),
        ("bb84.adc_bits=8", "did you mean cv.receiver.adc_bits?"),
        ("noise.raman=of", "did you mean `off`?"),
        ("nowhere.key=1", "write section.key=value"),
    ] {
        let error = load(&[given]).expect_err("no such name").to_string();
        assert!(error.starts_with(&format!("--set {given}")) && error.contains(meant), "{error}");
    }
    for (from, to, told) in [
        ("length_km = 25.0", "lenght_km = 25.0", "did you mean `length_km`?"),
        ("direction = \"co\"", "direction = \"con\"", "data.direction: unknown variant"),
        ("jitter_ps = 55.0", "jitter_ps = \"55\"", "bb84.detector.jitter_ps: invalid type"),
        ("slots = [59, 59]", "slots = [\n59,\n-1]", "data.slots: invalid value"),
    ] {
        let text = SHIPPED[0].1.replace(from, to);
        let line = text[..text.find(to).expect("there")].lines().count() + 1;
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string();
        assert!(error.starts_with("my.toml, line ") && error.contains(told), "{error}");
        let found: usize =
            error["my.toml, line ".len()..].split(':').next().and_then(|n| n.parse().ok()).expect("a line");
        assert!((line..line + 3).contains(&found), "line {found} for {line}: {error}");
    }
}

#[test]
fn a_line_is_found_however_the_value_is_written() {
    let with = |text: &str| {
        let text = format!("{text}{}", SHIPPED[0].1.replace("[link]\nlength_km = 25.0\nfibre = \"G.652.D\"                       # assumed\ntemperature_k = 300.0                   # assumed\n", ""));
        Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string()
    };
    let inline = with("\nlink = { length_km = -3.0, fibre = \"G.652.D\", temperature_k = 300.0 }\n");
    assert!(inline.starts_with("my.toml, line 2: link.length_km"), "{inline}");
    let dotted = with("link.fibre = \"G.652.D\"\nlink.temperature_k = 300.0\nlink.length_km = 999\n");
    assert!(dotted.starts_with("my.toml, line 3: link.length_km"), "{dotted}");
}

#[test]
fn bands_may_stand_in_any_order() {
    let turned = load(&["data.first_slot_thz=[191.6,186.2]"]).expect("the same comb");
    assert_eq!(turned.carriers().len(), 118, "as many carriers");
    assert!(load(&["data.first_slot_thz=[191.6,187.2]"]).is_err(), "the L band runs into the C band");
}
