// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// Restores for a long time, and looks for what must not happen even rarely. `make soak`.
struct Soak: Sendable {
    struct Options: Sendable {
        var restores = 1000
        var minutes = 10.0
        var chaosMinutes = 5.0
        var jobs = 8
        var seed = UInt64.random(in: 0...999_999)

        /// Reads `--restores N --minutes M --chaos-minutes M --jobs N --seed N`.
        init(_ words: ArraySlice<String>) throws {
            var words = words
            while let name = words.popFirst() {
                guard let value = words.popFirst(), let number = Double(value), number >= 0, number < 1e9 else {
                    throw BenchError("\(name) wants a number")
                }
                switch name {
                case "--restores": restores = Int(number)
                case "--minutes": minutes = number
                case "--chaos-minutes": chaosMinutes = number
                case "--jobs": jobs = max(Int(number), 1)
                case "--seed": seed = UInt64(number)
                default: throw BenchError("soak knows --restores, --minutes, --chaos-minutes, --jobs, --seed")
                }
            }
        }
    }

    let bench: Bench
    let options: Options
    /// Everything of the soak; the kernels come from the user's cache.
    let folder: FilePath
    let environment: [String: String]

    /// What is run over and over: no program, programs, kfuncs, and the guest's clock.
    static let names = ["mprog.tcx/M-001.ingress", "mprog.tcx/M-008.ingress", "kfuncs.task/K-040"]
    static let clock = "check.clock/now"

    init(_ bench: Bench, _ options: Options) throws {
        self.bench = bench
        self.options = options
        let root = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        folder = FilePath(root).appending("soak-\(ProcessInfo.processInfo.processIdentifier)")
        for name in ["tmp", "cache", "state"] {
            try FileManager.default.createDirectory(
                atPath: folder.appending(name).string, withIntermediateDirectories: true)
        }
        for name in ["kernels", "images", "apt"] {
            let target = bench.folders.cache.appending(name)
            guard FileManager.default.fileExists(atPath: target.string) else { continue }
            try FileManager.default.createSymbolicLink(
                atPath: folder.appending("cache").appending(name).string, withDestinationPath: target.string)
        }
        environment = ProcessInfo.processInfo.environment.merging([
            "TMPDIR": folder.appending("tmp").string, "BPFTEST_CACHE": folder.appending("cache").string,
            "BPFTEST_STATE": folder.appending("state").string,
        ]) { $1 }
    }

    func remove() {
        // What cannot be removed is in the way of nothing.
        try? FileManager.default.removeItem(atPath: folder.string)
    }

    func rows() throws -> [Row] {
        let before = Leftovers.names("/dev/shm")
        var rows: [Row] = []
        let rounds = (options.restores + Self.names.count) / (Self.names.count + 1)
        rows += try phase("in a row", isolation: .case) {
            $0.jobs = 1
            $0.repeats = rounds
        }
        rows += try phase("\(options.jobs) at a time", isolation: .case) {
            $0.jobs = options.jobs
            $0.untilFailure = true
            $0.runLimit = .seconds(options.minutes * 60)
        }
        rows += try steady()
        rows += try Chaos(soak: self).rows()
        let shared = Leftovers.names("/dev/shm").subtracting(before)
        rows.append(.none("shared-memory files left", shared.count, how: "in /dev/shm, over all: \(shared.sorted())"))
        return rows
    }

    // MARK: Runs in this process

    private func phase(
        _ label: String, isolation: Isolation, _ adapt: (inout RunOptions) -> Void
    ) throws -> [Row] {
        let begin = ContinuousClock.now
        let (watch, trouble) = try run(isolation, Self.names, [Self.clock], adapt)
        let seconds = begin.secondsSince
        let rate = "\(watch.restores) restores, \(watch.results) results in \(Int(seconds)) s"
        let behind = watch.behind.sorted()
        var rows: [Row] = [
            .plain("\(label): restores", Double(watch.restores), unit: "", how: rate),
            .none("\(label): run broken off", trouble == nil ? 0 : 1, how: trouble ?? "no bail-out"),
            .none("\(label): cases not passed", watch.failures, how: "first result of each case"),
            .none("\(label): results lost", watch.lost, how: "cases that began and have no result"),
            .none("\(label): results repeated", watch.repeated, how: "results of cases that had one"),
            .none("\(label): results uneven", watch.uneven, how: "most less fewest results of a case"),
            .none(
                "\(label): results different", watch.different.count,
                how: watch.different.first ?? "from the first of the same case"),
            .none("\(label): random numbers seen twice", watch.repeatedRandoms, how: "64 bits, one in each guest"),
        ]
        rows += [
            .atMost(
                "\(label): descriptors gained", Double(watch.gainedDescriptors), 0, unit: "",
                how: "most in the last quarter less most in the first (\(watch.descriptors.first ?? 0) at first)"),
            .none("\(label): processes left", left(), how: "children of this process, the ended ones included"),
            .none("\(label): files left", strayFiles().count, how: "in TMPDIR and the cache: \(strayFiles())"),
            .atLeast(
                "\(label): guest clock ahead", behind.first ?? -1, -0.01, unit: "s",
                how: "least time from the guest's reading to the host's, of \(behind.count); below 0 is ahead"),
            .atMost(
                "\(label): guest clock behind", behind.last ?? 99, 2, unit: "s",
                how:
                    "most; holds the time that the result takes to the host, median \(Row.rounded(behind.isEmpty ? 0 : behind.median))"
            ),
            .atMost(
                "\(label): guest clock drift", abs(watch.clockDrift), 0.1, unit: "s",
                how: "median of the last quarter less that of the first"),
        ]
        return rows
    }

    /// A machine that lives for a while keeps the time too.
    private func steady() throws -> [Row] {
        let (watch, trouble) = try run(.none, [], ["check.clock/steady"]) {
            $0.jobs = 1
            $0.repeats = 3
        }
        guard trouble == nil, let worst = watch.unsteady.max() else {
            throw BenchError("no result of check.clock/steady: \(trouble ?? "")")
        }
        return [
            .atMost(
                "ten seconds in a guest", worst, 0.1, unit: "s",
                how: "largest difference to the host's measure, of \(watch.unsteady.count)")
        ]
    }

    private func run(
        _ isolation: Isolation, _ builtIn: [String], _ own: [String], _ adapt: (inout RunOptions) -> Void
    ) throws -> (SoakWatch, trouble: String?) {
        var settings = RunOptions()
        settings.accelerator = .tcg
        settings.isolation = isolation
        adapt(&settings)
        let runner = Runner(
            qemu: bench.qemu, guestFiles: bench.guestFiles, folders: Folders(environment: environment),
            options: settings, cancellation: try Cancellation(), environment: environment)
        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        let faults = FilePath(CommandLine.arguments[0]).removingLastComponent().appending("bpftest-faults")
        let agent = Agent.file(faults, number: 0)
        let offered: [(agent: Agent, suites: [SuiteListing])] = [
            (.builtIn(bench.guestFiles), bench.selections.map(\.suite)),
            (agent, try runner.list(agent, on: bench.kernel, work: work) { Self.log($0) }),
        ]
        let selections = try Catalogue.select(offered, names: builtIn + own, patterns: [])
        let watch = SoakWatch()
        let journal = Journal(sinks: [], log: { Self.log($0) }, observer: watch)
        do {
            _ = try runner.run(kernels: [bench.kernel], selections: selections, journal: journal, work: work)
            return (watch, nil)
        } catch {
            return (watch, "\(error)")
        }
    }

    static func log(_ text: String) {
        FileHandle.standardError.write(Data("soak: \(text)\n".utf8))
    }

    // MARK: What is left

    func left() -> Int {
        Leftovers.children(of: ProcessInfo.processInfo.processIdentifier).count
    }

    func strayFiles() -> [String] {
        Leftovers.names(folder.appending("tmp")).sorted()
            + Leftovers.strays(inZygotes: folder.appending("cache").appending("zygotes"))
    }
}
