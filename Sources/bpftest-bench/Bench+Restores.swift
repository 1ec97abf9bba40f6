// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

extension Bench {
    /// A case that loads no program, and one that loads a program with kfuncs.
    static let plainCase = "mprog.tcx/M-001.ingress"
    static let kfuncCase = "kfuncs.task/K-040"

    // MARK: Time

    /// From starting QEMU to the result of a case, restored and booted.
    ///
    /// - Returns: the rows, and the seconds of a restored case that loads no program.
    func restores() throws -> (rows: [Row], plain: Double) {
        let work = try WorkFolder(environment: ProcessInfo.processInfo.environment)
        defer { work.remove() }
        let restoring = try probe(work, usesZygotes: true)
        let booting = try probe(work, usesZygotes: false)
        let plainTimes = try times(Self.plainCase, restoring, count: 50)
        let kfuncTimes = try times(Self.kfuncCase, restoring, count: 50)
        let plain = plainTimes.median
        let kfunc = kfuncTimes.median
        let cold = try times(Self.plainCase, booting, count: 5).median
        let coldKfunc = try times(Self.kfuncCase, booting, count: 5).median
        let how = { (name: String) in "from starting QEMU to the result of \(name), TCG, 1 CPU; " }
        return (
            [
                .atMost(
                    "restored case, no program", plain, 0.25, unit: "s",
                    how: how(Self.plainCase) + Self.spread(plainTimes)),
                .plain("booted case, no program", cold, unit: "s", how: how(Self.plainCase) + "median of 5"),
                .atMost("restored / booted", plain / cold, 1 / 12, unit: "", how: "as above"),
                .atMost(
                    "restored case, kfuncs", kfunc, 0.5, unit: "s", how: how(Self.kfuncCase) + Self.spread(kfuncTimes)),
                .plain("booted case, kfuncs", coldKfunc, unit: "s", how: how(Self.kfuncCase) + "median of 5"),
                .atMost("restored / booted, kfuncs", kfunc / coldKfunc, 1 / 12, unit: "", how: "as above"),
            ], plain
        )
    }

    /// What a median was taken of, and how far apart its values are.
    private static func spread(_ times: [Double]) -> String {
        let sorted = times.sorted()
        let ends = [sorted.first, sorted.last].compactMap { $0 }.map { "\(Row.rounded($0))" }
        return "median of \(times.count), \(ends.joined(separator: " to ")) s"
    }

    private func probe(_ work: WorkFolder, usesZygotes: Bool) throws -> MachineProbe {
        var options = RunOptions()
        options.accelerator = .tcg
        options.usesZygotes = usesZygotes
        let environment = ProcessInfo.processInfo.environment
        let runner = Runner(
            qemu: qemu, guestFiles: guestFiles, folders: folders, options: options, cancellation: try Cancellation(),
            environment: environment)
        return try MachineProbe(runner, kernel: kernel, agents: [.builtIn(guestFiles)], work: work) { text in
            FileHandle.standardError.write(Data("bench: \(text)\n".utf8))
        }
    }

    private func times(_ name: String, _ probe: MachineProbe, count: Int) throws -> [Double] {
        let selection = try selection([name])
        var times: [Double] = []
        // One more that is not counted: files come into the page cache.
        for round in 0...count {
            let run = try probe.run(selection)
            run.machine.kill()
            guard run.outcomes.allSatisfy({ $0.outcome == .passed }) else {
                throw BenchError("\(name) did not pass: \(run.outcomes)")
            }
            if round > 0 { times.append(run.untilFirstResult / .seconds(1)) }
        }
        return times
    }

    private func selection(_ names: [String]) throws -> Selection {
        let chosen = selections.compactMap { selection -> Selection? in
            let cases = selection.cases.filter { names.contains("\(selection.suite.suite)/\($0.id)") }
            return cases.isEmpty ? nil : Selection(agent: selection.agent, suite: selection.suite, cases: cases)
        }
        guard chosen.count == 1, let first = chosen.first else { throw BenchError("no case \(names)") }
        return first
    }

    // MARK: Memory

    /// What each further machine of a zygote takes of the host's memory.
    func memory() throws -> [Row] {
        let work = try WorkFolder(environment: ProcessInfo.processInfo.environment)
        defer { work.remove() }
        let probe = try probe(work, usesZygotes: true)
        return try [Self.plainCase, Self.kfuncCase].map { name in
            let selection = try selection([name])
            // The case is over, and all that it touched is still there.
            var runs = [try probe.run(selection)]
            let one = try Self.proportionalMiB(runs)
            for _ in 1..<4 { runs.append(try probe.run(selection)) }
            let four = try Self.proportionalMiB(runs)
            for run in runs { run.machine.kill() }
            let how = "256 MiB guest, PSS of 4 QEMUs less that of 1 (\(Int(one)) MiB), by 3, after \(name)"
            let label = name == Self.plainCase ? "no program" : "kfuncs"
            return .atMost("each further machine, \(label)", (four - one) / 3, 64, unit: "MiB", how: how)
        }
    }

    /// What the machines take together, shared pages counted once.
    private static func proportionalMiB(_ runs: [MachineProbe.Run]) throws -> Double {
        try runs.reduce(0) { sum, run in
            let text = String(decoding: try readFile("/proc/\(run.machine.pid)/smaps_rollup"), as: UTF8.self)
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Pss:") }),
                let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
            else { throw BenchError("no PSS of process \(run.machine.pid)") }
            return sum + kibibytes / 1024
        }
    }

    // MARK: Many cases

    /// 300 short cases, each in a machine of its own, and all in one.
    func many() throws -> [Row] {
        guard let suite = selections.first(where: { $0.suite.suite == "mprog.tcx" }), suite.cases.count >= 100 else {
            throw BenchError("mprog.tcx has no 100 cases")
        }
        let names = suite.cases.prefix(100).map { "mprog.tcx/\($0.id)" }
        let how = "100 cases of mprog.tcx with --repeat 3, bpftest run as a whole, zygote in the cache, TCG, "
        // The zygote is made outside of the measurement.
        _ = try timeOfRun(["--run-isolated=none"], Array(names.prefix(1)))
        let isolated = try timeOfRun(["--run-isolated=case", "-j", "2", "--repeat", "3"], names)
        let together = try timeOfRun(["--run-isolated=none", "--repeat", "3"], names)
        return [
            .atMost("300 short cases isolated", isolated, 60, unit: "s", how: how + "--run-isolated=case -j2"),
            .atMost("300 short cases in one machine", together, 8, unit: "s", how: how + "--run-isolated=none"),
        ]
    }

    private func timeOfRun(_ options: [String], _ names: [String]) throws -> Double {
        let start = ContinuousClock.now
        let child = try Child([Self.program, "run", "--disable-kvm", "-k", "6.12"] + options + names)
        let end = try child.wait(.seconds(600))
        let time = start.secondsSince
        child.kill()
        guard end == .exited(0) else {
            throw BenchError(
                "bpftest run \(options.joined(separator: " ")): \(end.map { "\($0)" } ?? "no end"): "
                    + child.error.suffix(400) + child.output.suffix(400))
        }
        return time
    }

    /// bpftest, beside this program.
    static var program: String {
        FilePath(CommandLine.arguments[0]).removingLastComponent().appending("bpftest").string
    }
}
