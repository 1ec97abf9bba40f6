// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
public import SystemPackage
internal import VMRunner

/// A matrix on a cluster: one array job of Slurm, a task for each shard, followed to its end.
///
/// All that is known is in a folder that the nodes share: which job, how often each shard was tried, the shards' results.
/// Another bpftest that is given the same folder goes on where this one stopped.
public struct SlurmBackend: Sendable {
    /// How often a shard whose node was lost is given to another.
    public static let mostTries = 3
    /// How long Slurm may not answer: its controller is restarted now and then.
    static let patience = Duration.seconds(600)

    /// Job, tries and what they are for; state.json in the folder.
    struct State: Codable, Equatable {
        var version = 1
        /// The plan as `--plan json` prints it: what is in the folder belongs to it and no other.
        var plan: String
        var shards: Int
        /// Array jobs submitted so far, oldest first.
        var jobs: [String] = []
        /// Shard: how often it was submitted.
        var tries: [Int: Int] = [:]
    }

    let folder: FilePath
    let plan: String
    let shards: Int
    /// What each task runs, without its shard: `bpftest matrix …`.
    let command: [String]
    /// Further options of sbatch.
    let options: [String]
    let note: @Sendable (String) -> Void

    /// - Parameters:
    ///   - folder: on a file system that the nodes share.
    ///   - command: the program and its arguments; `--shard` and `--json` are added.
    ///   - options: for sbatch, such as `--partition=ci`.
    public init(
        folder: FilePath, plan: String, shards: Int, command: [String], options: [String],
        note: @escaping @Sendable (String) -> Void
    ) {
        self.folder = folder
        self.plan = plan
        self.shards = shards
        self.command = command
        self.options = options
        self.note = note
    }

    /// Submits what has not been submitted, follows it, and merges.
    ///
    /// Blocks its caller for as long as the jobs take. When the task is cancelled the jobs go on.
    public func run() async throws(HarnessError) -> RunResults {
        try Folders.make(folder)
        var state = try load()
        if state.jobs.isEmpty { try await submit(Array(1...shards), &state) }
        note("following job \(state.jobs.joined(separator: ", ")); its files are in \(folder)")
        var told = Set<Int>()
        var answered = ContinuousClock.now
        var isSilent = false
        while true {
            let done = Set((1...shards).filter { isDone($0) })
            for shard in done.subtracting(told).sorted() { note("shard \(shard)/\(shards) has ended") }
            told.formUnion(done)
            if done.count == shards { break }
            let (waiting, complaint) = try await queued(state.jobs)
            guard let waiting else {
                guard ContinuousClock.now - answered < Self.patience else {
                    throw .infrastructure("squeue: \(complaint)")
                }
                if !isSilent { note("squeue: \(complaint); it is asked again") }
                isSilent = true
                try await pause(state)
                continue
            }
            (answered, isSilent) = (.now, false)
            // What ended between the two looks is not lost.
            let lost = (1...shards).filter { !waiting.contains($0) && !isDone($0) }
            let hopeless = lost.filter { (state.tries[$0] ?? 0) >= Self.mostTries }
            if let shard = hopeless.first {
                throw .infrastructure(
                    "shard \(shard)/\(shards) was lost \(Self.mostTries) times: see \(log(shard)); the other shards' "
                        + "results are in \(folder)")
            }
            if !lost.isEmpty {
                note("lost with their nodes, submitted again: shards \(lost.map(String.init).joined(separator: ", "))")
                try await submit(lost, &state)
                continue
            }
            try await pause(state)
        }
        return try merged()
    }

    /// Slurm tells nobody that a job has ended: one has to ask.
    private func pause(_ state: State) async throws(HarnessError) {
        do {
            try await Task.sleep(for: .seconds(2))
        } catch {
            note(
                "the jobs go on; the same command follows them again (scancel \(state.jobs.joined(separator: " ")) ends "
                    + "them)")
            throw .cancelled
        }
    }

    // MARK: Files

    private var stateFile: FilePath { folder.appending("state.json") }
    private func results(_ shard: Int) -> FilePath { folder.appending("shard-\(shard).jsonl") }
    private func log(_ shard: Int) -> FilePath { folder.appending("shard-\(shard).log") }
    private func isDone(_ shard: Int) -> Bool { FileManager.default.fileExists(atPath: results(shard).string) }

    func load() throws(HarnessError) -> State {
        guard let data = FileManager.default.contents(atPath: stateFile.string) else {
            return State(plan: plan, shards: shards)
        }
        guard let state = try? JSONDecoder().decode(State.self, from: data), state.version == 1 else {
            throw .usage("\(stateFile) is damaged, or of another version: give another folder")
        }
        guard state.plan == plan, state.shards == shards else {
            throw .usage("\(folder) belongs to another plan: give another folder, or remove it")
        }
        return state
    }

    private func save(_ state: State) throws(HarnessError) {
        do {
            try JSONEncoder().encode(state).write(to: URL(fileURLWithPath: stateFile.string), options: .atomic)
        } catch {
            throw .infrastructure("\(stateFile) cannot be written: \(Folders.reason(error))")
        }
    }

    // MARK: Slurm

    /// The batch script: results appear under their name when the run has come to its end, whatever it found.
    func script() -> String {
        let words = command.map { shellQuoted($0) }.joined(separator: " ")
        let base = shellQuoted(folder.string) + "/shard-$SLURM_ARRAY_TASK_ID"
        return """
            #!/bin/sh
            # Status 3 is trouble of the machine: the shard is tried again elsewhere.
            \(words) --shard "$SLURM_ARRAY_TASK_ID/\(shards)" --json \(base).part-$SLURM_JOB_ID
            status=$?
            case $status in
            0 | 1 | 4) mv \(base).part-$SLURM_JOB_ID \(base).jsonl ;;
            esac
            exit $status

            """
    }

    private func submit(_ numbers: [Int], _ state: inout State) async throws(HarnessError) {
        let script = folder.appending("job.sh")
        do {
            try Data(self.script().utf8).write(to: URL(fileURLWithPath: script.string), options: .atomic)
        } catch {
            throw .infrastructure("\(script) cannot be written: \(Folders.reason(error))")
        }
        for number in numbers { state.tries[number, default: 0] += 1 }
        let answer = try await Tool.require(
            "sbatch",
            [
                "--parsable", "--array=\(numbers.map(String.init).joined(separator: ","))", "--job-name=bpftest",
                "--output=\(folder)/shard-%a.log", "--open-mode=append",
            ] + options + [script.string], package: "slurm-client", to: "submit the shards to Slurm")
        guard let job = Self.job(answer) else { throw .infrastructure("sbatch answered '\(answer.prefix(100))'") }
        state.jobs.append(job)
        try save(state)
    }

    /// `sbatch --parsable` prints the job, and behind a semicolon the cluster.
    static func job(_ answer: String) -> String? {
        let id = answer.trimmingCharacters(in: .whitespacesAndNewlines).prefix { $0 != ";" }
        return !id.isEmpty && id.allSatisfy(\.isNumber) ? String(id) : nil
    }

    /// The shards that Slurm still has: waiting, running or ending.
    ///
    /// - Returns: nil where it does not answer, and why.
    private func queued(_ jobs: [String]) async throws(HarnessError) -> (tasks: Set<Int>?, complaint: String) {
        let answer = try await Tool.run(
            "squeue", ["--noheader", "--array", "--format=%K %T", "--jobs=\(jobs.joined(separator: ","))"],
            package: "slurm-client")
        // It forgets jobs that ended some minutes ago.
        if !answer.succeeded, answer.error.contains("Invalid job id") { return ([], "") }
        return answer.succeeded ? (Self.tasks(answer.output), "") : (nil, answer.complaint)
    }

    /// Reads lines of task and state. What has ended, or lost its node, is not waited for.
    static func tasks(_ text: String) -> Set<Int> {
        let alive: Set<Substring> = [
            "PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING",
            "STAGE_OUT", "REQUEUE_HOLD", "REQUEUE_FED", "STOPPED",
        ]
        var found: Set<Int> = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ")
            guard words.count == 2, let task = Int(words[0]), alive.contains(words[1]) else { continue }
            found.insert(task)
        }
        return found
    }

    private func merged() throws(HarnessError) -> RunResults {
        var parts: [NamedResults] = []
        for shard in 1...shards {
            parts.append(NamedResults(results(shard).string, try RunResults.read(file: results(shard).string)))
        }
        do {
            return try RunResults.merged(parts)
        } catch {
            throw .infrastructure("\(error)")
        }
    }
}
