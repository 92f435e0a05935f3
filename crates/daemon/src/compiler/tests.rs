//! When the compiler compiles, with a clock that the tests set.

use super::*;
use guest_store::snapshot::FILE_NAME;
use std::cell::Cell;
use std::os::unix::fs::FileExt as _;
use testkit::scratch::Scratch;

const TICK: Duration = Duration::from_millis(4);

thread_local! {
    /// The time of the kernel's last tick.
    static NOW: Cell<i128> = const { Cell::new(0) };
}

fn clock() -> Clock {
    Clock { now: NOW.get(), granularity: TICK }
}

/// A state directory whose time stamps the test chooses, and a compiler with the test's clock.
struct Scene {
    place: Scratch,
    compiler: Compiler,
}

impl Scene {
    fn new() -> Self {
        let place = Scratch::new();
        let state = place.path().join("state");
        fs::create_dir(&state).unwrap();
        let mut compiler =
            Compiler::new(&state, snapshot_in(place.path()), Log::new("libvirt-nssd"));
        compiler.clock = clock;
        let scene = Self { place, compiler };
        scene.write(at(1, 1), "one");
        scene
    }

    /// Writes a lease with the host name `name`, and sets the time of the change.
    fn write(&self, time: SystemTime, name: &str) {
        let lease = format!("[{{\"ip-address\": \"10.0.0.1\", \"hostname\": \"{name}\"}}]");
        let state = self.place.path().join("state");
        fs::write(state.join("new"), lease).unwrap();
        fs::rename(state.join("new"), state.join("virbr0.status")).unwrap();
        fs::File::open(&state).unwrap().set_modified(time).unwrap();
    }

    /// Runs the compiler. Returns whether there is a new snapshot.
    fn run(&mut self) -> bool {
        self.compiler.check_at = self.compiler.check_at.map(|_| Instant::now());
        self.run_if_due()
    }

    /// The same, but the directory is checked no earlier than is due.
    fn run_if_due(&mut self) -> bool {
        self.compiler.not_before = Instant::now();
        self.compiler.run(&Facts::default(), &Config::default(), 0, &mut || ())
    }

    /// The directory's time stamp in the snapshot, in nanoseconds since the epoch, and the host names in it.
    fn snapshot(&self) -> (Option<i128>, String) {
        let path = self.place.path().join(FILE_NAME);
        let mut meta = [0; Meta::SIZE];
        fs::File::open(&path).unwrap().read_exact_at(&mut meta, Meta::START as u64).unwrap();
        let state = Meta::parse(&meta).unwrap().state;
        let state = state
            .map(|stamp| i128::from(stamp.seconds) * 1_000_000_000 + i128::from(stamp.nanoseconds));
        let bytes = fs::read(&path).unwrap();
        let has = |name: &&str| {
            let key = format!("h{name}");
            bytes.windows(key.len()).any(|bytes| bytes == key.as_bytes())
        };
        let names: Vec<&str> = ["one", "two", "three"].into_iter().filter(has).collect();
        (state, names.join(" "))
    }
}

fn snapshot_in(directory: &Path) -> ReplacedFile {
    ReplacedFile::new(&directory.join(FILE_NAME))
}

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

fn time(seconds: i128, nanoseconds: i128) -> i128 {
    seconds * 1_000_000_000 + nanoseconds
}

#[test]
fn a_stamp_counts_when_its_tick_has_passed() {
    NOW.set(time(1, 5));
    let mut scene = Scene::new();
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(1, 1)), "one".into()));
    assert!(!scene.run());
    // Changed in the current tick: another change would leave the same stamp.
    NOW.set(time(2, 1));
    scene.write(at(2, 1), "two");
    scene.compiler.files_changed(DirectoryChange::Made);
    assert!(!scene.run());
    assert_eq!(scene.snapshot(), (Some(time(1, 1)), "one".into()));
    assert!(scene.compiler.due().is_some());
    // And so it does.
    scene.write(at(2, 1), "three");
    assert!(!scene.run());
    NOW.set(time(2, 2));
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(2, 1)), "three".into()));
    assert_eq!(scene.compiler.due(), None);
}

#[test]
fn updates_from_libvirt_do_not_wait_for_whole_seconds() {
    NOW.set(time(1, 5));
    let mut scene = Scene::new();
    assert!(scene.run());
    NOW.set(time(2, 5));
    scene.write(at(2, 0), "two");
    scene.compiler.files_changed(DirectoryChange::Made);
    assert!(!scene.run());
    scene.compiler.facts_changed();
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (None, "two".into()));
    // The directory is checked once more, when its stamp will show the next change.
    assert!(scene.compiler.due().is_some_and(|due| due > Instant::now() + Duration::from_secs(1)));
    NOW.set(time(4, 0));
    assert!(!scene.run());
    NOW.set(time(4, 1));
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(2, 0)), "two".into()));
    assert_eq!(scene.compiler.due(), None);
}

/// The clock was set back, or is another machine's.
#[test]
fn nothing_waits_for_a_stamp_in_the_future() {
    NOW.set(time(1, 5));
    let mut scene = Scene::new();
    assert!(scene.run());
    let is_soon = |scene: &Scene| {
        scene.compiler.due().is_some_and(|due| due < Instant::now() + Duration::from_secs(60))
    };
    scene.write(at(5000, 1), "two");
    scene.compiler.files_changed(DirectoryChange::Made);
    assert!(is_soon(&scene) && scene.run());
    assert_eq!(scene.snapshot(), (None, "two".into()));
    assert!(!is_soon(&scene));
    scene.compiler.facts_changed();
    assert!(is_soon(&scene) && scene.run() && !is_soon(&scene));
    // The next change of the directory has a stamp of now.
    scene.write(at(1, 1), "three");
    scene.compiler.files_changed(DirectoryChange::Made);
    assert!(is_soon(&scene) && scene.run());
    assert_eq!(scene.snapshot(), (Some(time(1, 1)), "three".into()));
    assert_eq!(scene.compiler.due(), None);
}

#[test]
fn updates_from_libvirt_wait_for_a_tick() {
    NOW.set(time(1, 5));
    let mut scene = Scene::new();
    assert!(scene.run());
    NOW.set(time(2, 1));
    scene.write(at(2, 1), "two");
    scene.compiler.files_changed(DirectoryChange::Made);
    scene.compiler.facts_changed();
    assert!(!scene.run());
    NOW.set(time(2, 2));
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(2, 1)), "two".into()));
}

#[test]
fn a_file_that_is_being_written_waits_for_its_name() {
    NOW.set(time(9, 9));
    let mut scene = Scene::new();
    assert!(scene.run());
    scene.write(at(2, 2), "two");
    scene.compiler.files_changed(DirectoryChange::Begun);
    assert!(!scene.run_if_due());
    // Others that follow don't wait any longer.
    let due = scene.compiler.due();
    scene.compiler.files_changed(DirectoryChange::Begun);
    assert_eq!(scene.compiler.due(), due);
    scene.compiler.files_changed(DirectoryChange::Made);
    assert!(scene.run_if_due());
    assert_eq!(scene.snapshot(), (Some(time(2, 2)), "two".into()));
    // If it isn't renamed soon, the directory's stamp is still a new one.
    scene.write(at(3, 3), "three");
    scene.compiler.files_changed(DirectoryChange::Begun);
    assert!(!scene.run_if_due());
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(3, 3)), "three".into()));
    // Nor does it keep what libvirt reports waiting.
    scene.write(at(4, 4), "one");
    scene.compiler.files_changed(DirectoryChange::Begun);
    assert!(!scene.run_if_due());
    scene.compiler.facts_changed();
    assert!(scene.run_if_due());
    assert_eq!(scene.snapshot(), (Some(time(4, 4)), "one".into()));
}

/// The directory changes between the two reads of its stamp: here, when the clock is read, which happens in between.
#[test]
fn a_directory_that_changes_while_it_is_read() {
    thread_local! {
        static STATE: Cell<Option<std::path::PathBuf>> = const { Cell::new(None) };
    }
    fn meddling_clock() -> Clock {
        if let Some(state) = STATE.take() {
            fs::File::open(&state).unwrap().set_modified(at(3, 3)).unwrap();
        }
        clock()
    }
    NOW.set(time(9, 9));
    let mut scene = Scene::new();
    assert!(scene.run());
    scene.write(at(2, 2), "two");
    scene.compiler.files_changed(DirectoryChange::Made);
    scene.compiler.clock = meddling_clock;
    STATE.set(Some(scene.place.path().join("state")));
    assert!(!scene.run());
    assert_eq!(scene.snapshot(), (Some(time(1, 1)), "one".into()));
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(3, 3)), "two".into()));
}

/// For example, on a full disk.
#[test]
fn after_a_failure_the_pause_is_as_long_as_after_a_success() {
    NOW.set(time(9, 9));
    let mut scene = Scene::new();
    scene.compiler.retry = Duration::ZERO;
    let leases: Vec<String> = (0..10_000)
        .map(|n| {
            let [.., b, c, d] = u32::to_be_bytes(n);
            format!("{{\"ip-address\": \"10.{b}.{c}.{d}\", \"hostname\": \"h{n}\"}}")
        })
        .collect();
    let state = scene.place.path().join("state");
    fs::write(state.join("virbr0.status"), format!("[{}]", leases.join(","))).unwrap();
    fs::File::open(&state).unwrap().set_modified(at(2, 2)).unwrap();
    // A directory that can't be replaced by a file.
    fs::create_dir_all(scene.place.path().join(FILE_NAME).join("full")).unwrap();
    let before = on_cpu();
    assert!(!scene.run());
    let worked = on_cpu() - before;
    let pause = scene.compiler.due().unwrap() - Instant::now();
    // Freeing memory isn't measured here, and this thread may have had to wait.
    assert!(pause >= worked, "{pause:?} after {worked:?}");
}

#[test]
fn updates_from_libvirt_do_not_read_the_files_again() {
    NOW.set(time(9, 9));
    let mut scene = Scene::new();
    assert!(scene.run());
    // A change that leaves no trace.
    scene.write(at(1, 1), "two");
    scene.compiler.facts_changed();
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(1, 1)), "one".into()));
    // Touching the snapshot notices changes without an event.
    scene.compiler.beat();
    assert!(!scene.run());
    scene.write(at(2, 2), "two");
    scene.compiler.beat();
    assert!(scene.run());
    assert_eq!(scene.snapshot(), (Some(time(2, 2)), "two".into()));
}
