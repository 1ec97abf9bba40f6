// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage

/// Kills QEMU or bpftest at random moments of a run: the run recovers or ends cleanly, and the next one is as good as
/// any and cleans up.
struct Chaos {
    private let soak: Soak
    private var random: Numbers
    private var counts = Counts()

    private struct Counts {
        var rounds = 0
        var kills = ["qemu": 0, "bpftest": 0]
        var recovered = 0
        var bailedOut = 0
        var wrong: [String] = []
        var processes = 0
        var files: [String] = []
        var broken: [String] = []
    }

    /// Numbers that follow from the seed, so that a bad round can be had again as far as time allows.
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            // xorshift64*, which must not begin with 0.
            state ^= state >> 12
            state ^= state << 25
            state ^= state >> 27
            return state &* 0x2545_f491_4f6c_dd1d
        }
    }

    init(soak: Soak) {
        self.soak = soak
        random = Numbers(state: soak.options.seed | 1 << 32)
    }

    func rows() throws -> [Row] {
        var chaos = self
        let deadline = ContinuousClock.now + .seconds(soak.options.chaosMinutes * 60)
        while ContinuousClock.now < deadline { try chaos.round() }
        let counts = chaos.counts
        let how = "--seed \(soak.options.seed)"
        return [
            .plain(
                "chaos: rounds", Double(counts.rounds), unit: "",
                how: "\(how); killed: QEMU \(counts.kills["qemu"] ?? 0) times, bpftest \(counts.kills["bpftest"] ?? 0)"),
            .plain("chaos: recovered", Double(counts.recovered), unit: "", how: "exit 0 and all results right"),
            .plain("chaos: bailed out", Double(counts.bailedOut), unit: "", how: "exit 3 and Bail out!"),
            .none("chaos: wrong results", counts.wrong.count, how: counts.wrong.first ?? "or another end than those"),
            .none("chaos: next runs not passed", counts.broken.count, how: counts.broken.first ?? "a case after each"),
            .none("chaos: processes left", counts.processes, how: "QEMUs that outlive bpftest by 10 s"),
            .none("chaos: files left", counts.files.count, how: "after the next run: \(counts.files.prefix(3))"),
        ]
    }

    private var zygotes: FilePath { soak.folder.appending("cache").appending("zygotes") }

    private func start(_ options: [String], _ names: [String]) throws -> Child {
        try Child(
            [Bench.program, "run", "--disable-kvm", "-k", "6.12"] + options + names, environment: soak.environment)
    }

    private mutating func round() throws {
        counts.rounds += 1
        // Now and then the zygote has to be made first, and may be hit.
        let isFresh = Int.random(in: 0..<5, using: &random) == 0
        if isFresh { try? FileManager.default.removeItem(atPath: zygotes.string) }
        let child = try start(["--run-isolated=case", "-j", "4", "--repeat", "6"], Soak.names)
        let moment = Duration.milliseconds(Int.random(in: 0..<(isFresh ? 12_000 : 6_000), using: &random))
        let victimIsQEMU = Bool.random(using: &random)
        var machines: [Int32] = []
        var hit: String?
        if try child.wait(moment) == nil {
            if victimIsQEMU {
                if let one = Leftovers.machines(of: child.pid).randomElement(using: &random) {
                    hit = "qemu"
                    kill(one, SIGKILL)
                }
            } else {
                // Stopped, so that no machine is started between the look and the kill.
                kill(child.pid, SIGSTOP)
                machines = Leftovers.children(of: child.pid)
                hit = "bpftest"
                kill(child.pid, SIGKILL)
            }
        }
        if let hit { counts.kills[hit, default: 0] += 1 }
        let end = try child.wait(.seconds(180))
        judge(child, end, hit: hit, at: moment)
        counts.processes += Leftovers.remaining(machines, after: .seconds(10))
        child.kill()
        try followUp(isFresh: isFresh, at: moment, hit: hit)
    }

    /// Whether a run that was hit ended as it may.
    private mutating func judge(_ child: Child, _ end: ProcessEnd?, hit: String?, at moment: Duration) {
        let output = child.output
        // Nothing is wrong with the kernel or the cases: no result may say so, also of a run that did not end.
        let blamed = output.split(separator: "\n").first { $0.trimmingPrefix { $0 == " " }.hasPrefix("not ok") }
        if let blamed {
            counts.wrong.append("\(hit ?? "nobody") killed after \(moment): \(blamed)")
            return
        }
        switch (end, hit) {
        case (.exited(0)?, _) where output.contains("# \(Soak.names.count) passed, 0 failed, 0 skipped"):
            counts.recovered += hit == nil ? 0 : 1
        case (.exited(3)?, "qemu") where output.contains("Bail out!"): counts.bailedOut += 1
        case (.signalled(9)?, "bpftest"): break
        default:
            let how = end.map { "\($0)" } ?? "no end after 180 s"
            counts.wrong.append("\(hit ?? "nobody") killed after \(moment): \(how): \(child.error.suffix(300))")
        }
    }

    /// The next run is as good as any, and nothing is left after it.
    private mutating func followUp(isFresh: Bool, at moment: Duration, hit: String?) throws {
        let child = try start([], [Soak.names[0]])
        let end = try child.wait(.seconds(120))
        if end != .exited(0) {
            let how = end.map { "\($0)" } ?? "no end after 120 s"
            counts.broken.append("after \(hit ?? "nobody") was killed at \(moment): \(how): \(child.error.suffix(300))")
        }
        child.kill()
        counts.files += soak.strayFiles()
    }
}
