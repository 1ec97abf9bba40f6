// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
public import SystemPackage
internal import VMRunner

/// Makes kernels of commits.
protocol BisectBuilder: Sendable {
    /// Builds what is checked out in the work tree.
    ///
    /// - Returns: what `-k` takes.
    /// - Throws: what is wrong with it; it is passed over then.
    func build(_ tree: FilePath) async throws(HarnessError) -> String
    /// The command that builds a tree as `build` does, into a kernel of another name.
    func command(source: FilePath, name: String) -> String
    /// Removes what building has left.
    func clean() async throws(HarnessError)
}

/// Builds minimal kernels, each in the place of the one before: what has changed is compiled.
struct CacheBuilder: BisectBuilder {
    var store: KernelStore
    var name: String
    var fragments: [String]
    var jobs: Int

    func build(_ tree: FilePath) async throws(HarnessError) -> String {
        let builder = KernelBuilder(source: tree, name: name, fragments: fragments, jobs: jobs)
        _ = try await builder.build(into: store)
        return name
    }

    func command(source: FilePath, name: String) -> String {
        let own = fragments.filter { !KernelBuilder.usualFragments.contains($0) }.flatMap { ["--fragment", $0] }
        return (["bpftest", "kernels", "build", "--source", source.string, "--name", name] + own).map(shellQuoted)
            .joined(separator: " ")
    }

    func clean() async throws(HarnessError) {
        let folder = store.folders.cache.appending("build").appending(name)
        try await store.locked { () async throws(HarnessError) in
            for path in [folder, store.folders.kernels.appending("build-\(name)")]
            where FileManager.default.fileExists(atPath: path.string) {
                try KernelStore.remove(path)
            }
        }
    }
}

/// Drives `git bisect` with kernels that it builds and tries.
public struct GitBisect: Sendable {
    private let worktree: GitWorktree
    private let builder: any BisectBuilder
    private let trials: any BisectTrials
    private let log: @Sendable (String) -> Void
    /// Made when the ends are known.
    private let remember: @Sendable (_ good: String, _ bad: String) -> BisectMemory

    init(
        worktree: GitWorktree, builder: any BisectBuilder, trials: any BisectTrials,
        remember: @escaping @Sendable (String, String) -> BisectMemory = { _, _ in BisectMemory() },
        log: @escaping @Sendable (String) -> Void
    ) {
        self.remember = remember
        self.worktree = worktree
        self.builder = builder
        self.trials = trials
        self.log = log
    }

    /// What is searched, and how.
    public struct Request: Sendable {
        /// A git work tree of the kernel.
        public var source: FilePath
        /// `GOOD..BAD`.
        public var range: String
        public var fragments: [String]
        /// Compilers at a time.
        public var jobs: Int
        /// Leaves work tree and objects for the next time.
        public var keeps: Bool
        /// What each commit is tried with, to know the same search again.
        public var arguments: [String]

        public init(
            source: FilePath, range: String, fragments: [String], jobs: Int, keeps: Bool, arguments: [String]
        ) {
            self.arguments = arguments
            self.source = source
            self.range = range
            self.fragments = fragments
            self.jobs = jobs
            self.keeps = keeps
        }
    }

    /// Searches; the user's work tree is not touched.
    ///
    /// - Returns: 0 where the commit was found, 4 where commits that cannot be judged leave it open.
    public static func run(
        _ request: Request, store: KernelStore, trials: any BisectTrials, log: @escaping @Sendable (String) -> Void
    ) async throws(HarnessError) -> Int32 {
        let (good, bad) = try ends(request.range)
        // The place depends on the tree alone: compilers' command lines name it, and objects are made for them.
        let probe = try await GitWorktree(of: request.source, at: "/")
        let tag = "bisect-" + String(XXH64.hash(Array(probe.source.string.utf8)), radix: 16)
        let folder = store.folders.cache.appending("bisect").appending(tag)
        try Folders.make(folder)
        let lock = try await FileLock.take(folder.appending(".lock")) {
            store.note("waiting for another bpftest that bisects \(probe.source)")
        }
        let worktree = try await GitWorktree(of: request.source, at: folder.appending("tree"))
        let builder = CacheBuilder(store: store, name: tag, fragments: request.fragments, jobs: request.jobs)
        let remember = { @Sendable (good: String, bad: String) in
            BisectMemory(
                BisectMemory.Question(
                    good: good, bad: bad, source: worktree.source.string,
                    arguments: request.fragments.map { "--fragment=\($0)" } + request.fragments + request.arguments),
                folders: store.folders, note: store.note)
        }
        let bisect = GitBisect(worktree: worktree, builder: builder, trials: trials, remember: remember, log: log)
        let code: Int32
        do throws(HarnessError) {
            code = try await bisect.search(good: good, bad: bad)
        } catch {
            if !request.keeps { await bisect.tidy(store.note) }
            throw error
        }
        if !request.keeps { await bisect.tidy(store.note) }
        lock.release()
        return code
    }

    /// The ends of `GOOD..BAD`.
    static func ends(_ range: String) throws(HarnessError) -> (good: String, bad: String) {
        guard let dots = range.firstRange(of: ".."), !range[dots.upperBound...].hasPrefix("."),
            dots.lowerBound > range.startIndex, dots.upperBound < range.endIndex
        else { throw .usage("--git wants GOOD..BAD, two commits with two dots between, not '\(range)'") }
        return (String(range[..<dots.lowerBound]), String(range[dots.upperBound...]))
    }

    /// Removes work tree and build, also after an interruption.
    private func tidy(_ note: @Sendable (String) -> Void) async {
        // In a task of its own: ours may have been cancelled, and git must run all the same.
        let failure = await Task { () -> HarnessError? in
            do throws(HarnessError) {
                try await worktree.remove()
                try await builder.clean()
                return nil
            } catch {
                return error
            }
        }.value
        if let failure { note("\(failure)") }
    }

    // MARK: The search

    /// Verifies the ends, then asks git what to try until it has found the commit.
    func search(good: String, bad: String) async throws(HarnessError) -> Int32 {
        let (good, bad) = (try await worktree.commit(good), try await worktree.commit(bad))
        if good.id == bad.id { throw .usage("there is nothing between the two: both are \(good.title)") }
        let goodIsOlder = try await worktree.isAncestor(good, of: bad)
        if !goodIsOlder, try await !worktree.isAncestor(bad, of: good) {
            throw .usage("neither of \(good.title) and \(bad.title) is an ancestor of the other")
        }
        let memory = remember(good.id, bad.id)
        let code: Int32
        do throws(HarnessError) {
            code = try await search(good, bad, BisectRules(goodIsOlder: goodIsOlder), memory)
        } catch .usage(let text) {
            memory.forget()
            throw .usage(text)
        } catch {
            throw error
        }
        memory.forget()
        return code
    }

    private func search(
        _ good: GitWorktree.Commit, _ bad: GitWorktree.Commit, _ given: BisectRules, _ memory: BisectMemory
    ) async throws(HarnessError) -> Int32 {
        var rules = given
        let goodIsOlder = rules.goodIsOlder
        if memory.count > 0 {
            log("going on: what an interrupted search found out of \(memory.count) commits is known")
        }
        var trials: [String: BisectTrial] = [:]
        for (end, isGood) in [(good, true), (bad, false)] {
            try await worktree.make(at: end.id)
            let trial = try await tryCommit(end, memory, isEnd: true)
            log("\(isGood ? "good" : "bad") end: \(end.title): \(trial.verdict) (\(trial.summary))")
            try BisectRules.check(trial, isGood: isGood, end.title, kernel: end.short, making: making(end))
            if !isGood { rules.takesSometimes = trial.failsSometimes }
            trials[end.id] = trial
        }
        if let remark = rules.remark { log(remark) }
        // git's words for what is searched: "bad" must not be an ancestor of "good".
        let (old, new) = goodIsOlder ? ("good", "bad") : ("broken", "fixed")
        let (older, newer) = goodIsOlder ? (good, bad) : (bad, good)
        var answer = try await worktree.git(
            ["bisect", "start", "--term-old=\(old)", "--term-new=\(new)", newer.id, older.id])
        while true {
            if let end = try await end(answer, new, goodIsOlder, trials, good, bad) { return end }
            let commit = try await head()
            let trial: BisectTrial
            if let known = trials[commit.id] { trial = known } else { trial = try await tryCommit(commit, memory) }
            trials[commit.id] = trial
            let word =
                switch rules.side(trial) {
                case .older: old
                case .newer: new
                case nil: "skip"
                }
            answer = try await worktree.git(["bisect", word])
            let left = answer.output.split(whereSeparator: \.isNewline).first { $0.hasPrefix("Bisecting: ") }
            log(
                "step \(trials.count - 2): \(commit.title): \(rules.word(trial)) (\(trial.summary))"
                    + (left.map { "; \($0.dropFirst("Bisecting: ".count))" } ?? ""))
        }
    }

    private func head() async throws(HarnessError) -> GitWorktree.Commit {
        let answer = try await worktree.git(["rev-parse", "HEAD"])
        guard answer.succeeded else { throw .infrastructure("git rev-parse HEAD: \(answer.complaint)") }
        return try await worktree.commit(answer.output.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Builds and tries what is checked out; what cannot be built cannot be judged.
    ///
    /// That it cannot is not remembered: it may be for want of space or of a tool.
    private func tryCommit(
        _ commit: GitWorktree.Commit, _ memory: BisectMemory, isEnd: Bool = false
    ) async throws(HarnessError) -> BisectTrial {
        if let known = memory.known(commit.id) { return known }
        let kernel: String
        do throws(HarnessError) {
            kernel = try await builder.build(worktree.path)
        } catch {
            if case .cancelled = error { throw error }
            if Task.isCancelled { throw .cancelled }
            // Want of a compiler shows at an end, where there is nothing to be passed over.
            if isEnd { log("\(commit.title) cannot be built: \(error)") }
            return BisectTrial(.skipped, "it cannot be built: \(Self.reason("\(error)", worktree.path))")
        }
        // The next commit's kernel takes the place of this one.
        return try await memory.trial(of: commit.id) { () throws(HarnessError) in
            try await trials.run(on: kernel).calling(kernel, commit.short)
        }
    }

    /// The commands that make a commit's kernel again, beside the user's work tree.
    private func making(_ commit: GitWorktree.Commit) -> String {
        let tree = FilePath("\(worktree.source)-\(commit.short)")
        let git = ["git", "-C", worktree.source.string, "worktree", "add", "--detach", tree.string, commit.short]
        return "kernel \(commit.short): \(git.map(shellQuoted).joined(separator: " ")) && "
            + builder.command(source: tree, name: commit.short)
    }

    /// Of what a builder complains of, the first thing that a compiler said, by the file's place in the tree.
    private static func reason(_ complaint: String, _ tree: FilePath) -> String {
        let lines = complaint.split(whereSeparator: \.isNewline)
        let line = lines.first { $0.hasPrefix("  ") } ?? lines.first ?? ""
        return line.trimmingCharacters(in: .whitespaces).replacing(tree.string + "/", with: "")
    }

    /// Reads git's answer.
    ///
    /// - Returns: nil where it wants another commit tried.
    private func end(
        _ answer: Tool.Answer, _ new: String, _ goodIsOlder: Bool, _ trials: [String: BisectTrial],
        _ good: GitWorktree.Commit, _ bad: GitWorktree.Commit
    ) async throws(HarnessError) -> Int32? {
        let lines = answer.output.split(whereSeparator: \.isNewline).map(String.init)
        if let line = lines.first(where: { $0.hasSuffix(" is the first \(new) commit") }) {
            let found = try await worktree.commit(String(line.prefix { $0 != " " }))
            log("first \(goodIsOlder ? "bad" : "good") commit: \(found.title)")
            let parent = try await worktree.commit("\(found.id)~1")
            let (badCommit, goodCommit) = goodIsOlder ? (found, parent) : (parent, found)
            log(goodIsOlder ? "last good commit: \(parent.title)" : "last bad commit: \(parent.title)")
            // A parent that a tried commit descends from was not tried itself: the end speaks for it, by its own name.
            let shownBad = trials[badCommit.id] == nil ? bad : badCommit
            let shownGood = trials[goodCommit.id] == nil ? good : goodCommit
            if let badTrial = trials[shownBad.id], let goodTrial = trials[shownGood.id] {
                KernelBisect.compare(
                    (shownBad.title, badTrial), (shownGood.title, goodTrial), kernel: shownBad.short
                ).forEach(log)
                log(making(shownBad))
            }
            return 0
        }
        // Exit status 2: what is left was passed over.
        if let start = lines.firstIndex(where: { $0.hasPrefix("There are only 'skip'ped commits left") }) {
            log("the first \(goodIsOlder ? "bad" : "good") commit is one of these: the others cannot be judged")
            for id in lines[start...].filter({ $0.count >= 40 && $0.allSatisfy(\.isHexDigit) }) {
                log("  \(try await worktree.commit(id).title)")
            }
            return 4
        }
        guard answer.succeeded else { throw .infrastructure("git bisect: \(answer.complaint)") }
        return nil
    }
}
