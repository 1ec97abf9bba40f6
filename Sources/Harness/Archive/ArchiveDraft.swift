// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Crashes
internal import Exploration
internal import Foundation
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import VMRunner

/// A failure on its way into an archive: what is to be run, and the files that it takes.
struct ArchiveDraft {
    var manifest: Manifest
    /// What the runs of one kernel have in common.
    var shared: [ArchiveWriter.Content]
    /// What is this failure's own, without outputs.
    var own: [ArchiveWriter.Content]
    /// What was seen: the only part that differs from one time to the next.
    var outputs: [ArchiveWriter.Content]
    /// The guest image, both parts.
    var guest: [UInt8]
    var job: [UInt8]
}

/// Makes drafts of failures.
struct ArchiveDrafter {
    var options: RunOptions
    var accelerator: Accelerator
    var qemu: QEMU
    var guestFiles: GuestFiles
    var selections: [Selection]
    var words: HostWords
    /// vmlinux, where it is wanted.
    var symbols: FilePath?
    /// Complaints that may come.
    var allowed: [String]?

    /// - Throws: a file that cannot be read, or what cannot be archived, in words.
    func draft(_ result: CaseResult, on kernel: PreparedKernel) throws(HarnessError) -> ArchiveDraft {
        guard case .failed(let blame) = result.outcome else { throw .usage("\(result.name) has not failed") }
        let selection = selections.first { $0.suite.suite == result.name.suite }
        guard selection != nil || blame == .boot else {
            throw .usage("\(result.name) is no case that can be run again")
        }
        let before = before(result)
        let call = self.calls(result, selection, before)
        let machine = machine(selection, kernel)
        let judge = judge(result, blame, selection, before)
        let image = try image(kernel, selection, before.map(\.selection))
        let job = GuestJob(calls: call, watch: judge.watch, seconds: judge.seconds)
        var own = CpioArchive()
        own.add(file: GuestJob.path, mode: 0o644, Array(job.text.utf8))
        own.add(files: try files(result, selection, before.map(\.selection)))

        let failure = Manifest.Failure(
            suite: result.name.suite, id: result.name.id, title: words.hide(result.title), blame: blame.rawValue,
            message: text(result, "message") ?? result.title, expected: text(result, "expected"),
            observed: text(result, "observed"), crash: Self.crash(result), verdict: text(result, "verdict"))
        let jobBytes = own.encoded()
        let name = try self.name(result, kernel, machine, judge, image, jobBytes)
        var manifest = Manifest(name: name)
        manifest.failure = failure
        manifest.machine = machine
        manifest.calls = call
        manifest.judge = judge
        manifest.versions = ["bpftest": bpftestVersion, "qemu": qemu.version, "kernel": "\(kernel.build.version)"]
        if let seed = options.seed { manifest.seeds["shuffle"] = "\(seed)" }
        if let seed = Self.explorationSeed(result) { manifest.seeds["explore"] = seed }
        manifest.qemu =
            ["qemu-system-x86_64"]
            + MachineLine(machine, kernel: ArchiveLayout.kernel, initramfs: "boot/guest.cpio+job.cpio").arguments
        return ArchiveDraft(
            manifest: manifest, shared: try shared(kernel, selection, image),
            own: [ArchiveWriter.Content(ArchiveLayout.job, .bytes(jobBytes))], outputs: outputs(result),
            guest: image, job: jobBytes)
    }

    // MARK: What is run

    /// The cases without which it does not fail, suite by suite.
    private func before(_ result: CaseResult) -> [(selection: Selection, cases: [String])] {
        guard result.diagnostics["verdict"]?.hasPrefix("order-dependent") == true,
            let text = result.diagnostics["ran_before"]
        else { return [] }
        var names = text.split(separator: " ").map(String.init)
        if names.first?.hasPrefix("(") == true {
            // The report leaves out the first of many; they are those of the suite, in its order.
            let all = selections.first { $0.suite.suite == result.name.suite }?.cases.map(\.id) ?? []
            names = all.prefix { $0 != result.name.id }.map { "\(result.name.suite)/\($0)" }
        }
        var parts: [(selection: Selection, cases: [String])] = []
        for name in names {
            guard
                let selection = selections.first(where: { one in
                    name.hasPrefix(one.suite.suite + "/")
                        && one.cases.contains { "\(one.suite.suite)/\($0.id)" == name }
                }), selection.program == nil
            else { continue }
            let id = String(name.dropFirst(selection.suite.suite.count + 1))
            if parts.last?.selection.suite.suite == selection.suite.suite {
                parts[parts.count - 1].cases.append(id)
            } else {
                parts.append((selection, [id]))
            }
        }
        return parts
    }

    private func calls(
        _ result: CaseResult, _ selection: Selection?, _ before: [(selection: Selection, cases: [String])]
    ) -> [Manifest.Call] {
        var calls: [Manifest.Call] = []
        func add(_ arguments: [String], _ environment: [String], _ directory: String? = nil) {
            calls.append(
                Manifest.Call(
                    arguments: arguments, environment: environment,
                    directory: directory ?? "/tmp/bpftest-\(calls.count + 1)"))
        }
        if let program = selection?.program {
            add(program.arguments, program.environment, program.workingDirectory)
            return calls
        }
        for part in before {
            // One call for the cases of a suite: in the run, too, they shared a process.
            let isLast = part.selection.suite.suite == result.name.suite
            add(
                [part.selection.agent.guestPath, "run", part.selection.suite.suite] + part.cases
                    + (isLast ? [result.name.id] : []), MachineFactory.environment)
        }
        if before.last?.selection.suite.suite != result.name.suite {
            // A kernel that does not boot has no case: listing the suites does for one that does.
            let agent = selection?.agent ?? .builtIn(guestFiles)
            let what = selection == nil ? ["list"] : ["run", result.name.suite, result.name.id]
            add([agent.guestPath] + what, MachineFactory.environment)
        }
        return calls
    }

    private func machine(_ selection: Selection?, _ kernel: PreparedKernel) -> Manifest.Machine {
        var settings = options.settings
        settings.accelerator = accelerator
        settings.cpus = max(settings.cpus, selection?.suite.cpus ?? 1)
        settings.cards = (selection?.suite.cards ?? []).compactMap { NetworkCard(rawValue: $0) }
        settings.kernelArguments += kernel.arguments
        settings.securityModules = settings.securityModules ?? kernel.build.securityModules
        return Manifest.Machine(
            release: kernel.build.release, memoryMiB: settings.memoryMiB, cpus: settings.cpus,
            accelerator: accelerator.rawValue, cards: settings.cards.map(\.rawValue),
            commandLine: settings.commandLine)
    }

    private func judge(
        _ result: CaseResult, _ blame: Outcome.Blame, _ selection: Selection?,
        _ before: [(selection: Selection, cases: [String])]
    ) -> Manifest.Judge {
        let kind: Manifest.Judge.Kind =
            switch blame {
            case .kernel: .splat
            case .boot, .missing: .boot
            case .timeout: .timeout
            case _ where selection?.program != nil: .program
            case .test: .result
            case .absent: .absent
            case .agent: .agent
            }
        let limit = Int(options.caseLimit.components.seconds) + 1
        // An agent that was not started before the machine was frozen takes its time to start.
        let seconds = limit * (before.isEmpty ? 1 : 4) + (kind == .timeout ? 10 : 60)
        return Manifest.Judge(
            kind: kind, watch: selection?.program != nil ? "*" : result.name.id, seconds: seconds,
            limit: seconds + Int(options.bootLimit.components.seconds) + 30, allowed: allowed)
    }

    // MARK: Files

    /// The guest image of all failures of a kernel: init and modules, agents and objects.
    private func image(
        _ kernel: PreparedKernel, _ selection: Selection?, _ others: [Selection]
    ) throws(HarnessError) -> [UInt8] {
        let base = try Self.read(kernel.image.path)
        do {
            var archive = try CpioArchive(decoding: base, name: "\(kernel.image.path)")
            var files: [(path: String, mode: Int, content: [UInt8])] = []
            if selection?.program == nil {
                let own = selection?.agent ?? .builtIn(guestFiles)
                for agent in ([own] + others.map(\.agent)).reduce(
                    into: [Agent](), { if !$0.contains($1) { $0.append($1) } })
                {
                    files.append((GuestJob.files + agent.guestPath, 0o755, try Self.read(agent.file)))
                }
                for object in try guestFiles.allObjects() {
                    files.append(
                        ("\(GuestJob.files)\(MachineFactory.objects)/\(object.name)", 0o644, try Self.read(object.file))
                    )
                }
            }
            archive.add(files: files)
            return archive.encoded()
        } catch let error as HarnessError {
            throw error
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// What the failing case alone finds in the machine.
    private func files(
        _ result: CaseResult, _ selection: Selection?, _ others: [Selection]
    ) throws(HarnessError) -> [(path: String, mode: Int, content: [UInt8])] {
        var files: [String: GuestFile] = [:]
        for one in others + (selection.map { [$0] } ?? []) {
            for file in one.frozenFiles + one.files + (one.object.map { Self.withoutPath($0) } ?? []) {
                files[file.path] = file
            }
        }
        // What an exploration has found is a script of a few calls by now.
        if let text = result.diagnostics["script"], let script = try? Script(text) {
            let request = ExplorationRequest(.replay(script)).guestFile
            files[request.path] = request
        }
        var contents: [(path: String, mode: Int, content: [UInt8])] = []
        for file in files.values.sorted(by: { $0.path < $1.path }) {
            let bytes: [UInt8] =
                switch file.source {
                case .bytes(let bytes): bytes
                case .file(let path): try Self.read(path)
                }
            contents.append((GuestJob.files + file.path, Int(file.mode), bytes))
        }
        return contents
    }

    /// The files of an object, which is called by its suite's name and not by its path.
    private static func withoutPath(_ object: ObjectFile) -> [GuestFile] {
        object.guestFiles.map { file in
            guard case .bytes(let bytes) = file.source else { return file }
            let text = String(decoding: bytes, as: UTF8.self).replacing(
                "name \(object.given)\n", with: "name \(object.suite)\n")
            return GuestFile(.bytes(Array(text.utf8)), as: file.path, mode: file.mode)
        }
    }

    private func shared(
        _ kernel: PreparedKernel, _ selection: Selection?, _ image: [UInt8]
    ) throws(HarnessError) -> [ArchiveWriter.Content] {
        var contents = [
            ArchiveWriter.Content(ArchiveLayout.kernel, .file(kernel.build.image.path)),
            ArchiveWriter.Content(ArchiveLayout.guest, .bytes(image)),
        ]
        if let config = kernel.build.configFile {
            contents.append(ArchiveWriter.Content(ArchiveLayout.config, .file(config)))
        }
        if let symbols { contents.append(ArchiveWriter.Content(ArchiveLayout.symbols, .file(symbols))) }
        guard selection?.program == nil else { return contents }
        contents.append(ArchiveWriter.Content("guest/agent", .file(selection?.agent.file ?? guestFiles.agent)))
        // Beside a build's guest files are the sources that they were made of.
        let tree = guestFiles.directory.removingLastComponent().removingLastComponent().appending("tests-bpf")
        for object in try guestFiles.allObjects() {
            let plain = object.name.split(separator: "/").map { ArchiveLayout.plainWord(String($0)) }
                .joined(separator: "/")
            contents.append(ArchiveWriter.Content("guest/objects/\(plain)", .file(object.file)))
            let source = tree.appending(String(object.name.dropLast(2)) + ".c")
            if object.name.hasSuffix(".bpf.o"), FileManager.default.isReadableFile(atPath: source.string) {
                contents.append(
                    ArchiveWriter.Content("sources/\(plain.dropLast(2)).c", .file(source)))
            }
        }
        if let object = selection?.object, object.problem == nil {
            let plain = ArchiveLayout.plainWord(object.suite)
            contents.append(ArchiveWriter.Content("guest/objects/user/\(plain)", .file(FilePath(object.given))))
            let source = FilePath(String(object.given.dropLast(2)) + ".c")
            if object.given.hasSuffix(".o"), FileManager.default.isReadableFile(atPath: source.string) {
                contents.append(ArchiveWriter.Content("sources/user/\(plain.dropLast(2)).c", .file(source)))
            }
        }
        return contents
    }

    // MARK: Words

    private func text(_ result: CaseResult, _ key: String) -> String? {
        result.diagnostics[key].map { words.hide($0) }
    }

    /// What tells a crash from others: its title, or its first line without what differs from one time to the next.
    static func crash(_ result: CaseResult) -> String? {
        var reader = ConsoleReader()
        for line in result.diagnostics["splat"]?.split(separator: "\n") ?? [] { reader.read(String(line)) }
        if let complaint = reader.complaints.first { return complaint.title }
        guard let line = result.diagnostics["splat"]?.split(separator: "\n").first else { return nil }
        var rest = line[...]
        while rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        var isNumber = false
        let words = rest.split(separator: " ").map { word -> String in
            defer { isNumber = word == "CPU:" || word == "PID:" || word == "address:" }
            let isAddress = word.hasPrefix("0x") || word.utf8.count >= 16 && word.allSatisfy(\.isHexDigit)
            return isNumber || isAddress ? "N" : String(word)
        }
        return words.joined(separator: " ")
    }

    private static func explorationSeed(_ result: CaseResult) -> String? {
        result.diagnostics["script"].flatMap { try? Script($0) }?.seed.map { "\($0)" }
    }

    private func outputs(_ result: CaseResult) -> [ArchiveWriter.Content] {
        var contents: [ArchiveWriter.Content] = []
        func add(_ name: String, _ text: String) {
            contents.append(ArchiveWriter.Content("outputs/\(name)", .bytes(Array(text.utf8))))
        }
        var shown = Diagnostics()
        for field in result.diagnostics.fields where !["run_alone", "kernel"].contains(field.key) {
            shown.fields.append(Diagnostics.Field(field.key, words.hide(field.value)))
        }
        let point = "not ok 1 - \(result.name) \(words.hide(result.title))"
        add(
            "result.tap",
            (["TAP version 14", "1..1", point, "  ---"] + shown.yaml.map { "  \($0)" } + ["  ...", ""]).joined(
                separator: "\n"))
        for (key, name) in [
            ("splat", "splat.txt"), ("verifier_log", "verifier.log"), ("stderr", "stderr.txt"),
            ("console", "console-tail.txt"), ("script", "explore.script"), ("log", "log.txt"),
        ] {
            if let text = shown[key] { add(name, text.hasSuffix("\n") ? text : text + "\n") }
        }
        if let path = result.diagnostics["vmcore"], FileManager.default.isReadableFile(atPath: path) {
            contents.append(ArchiveWriter.Content("outputs/vmcore", .file(FilePath(path))))
        }
        return contents
    }

    /// Of what is run, and of nothing that was seen: the same failure has the same name.
    private func name(
        _ result: CaseResult, _ kernel: PreparedKernel, _ machine: Manifest.Machine, _ judge: Manifest.Judge,
        _ image: [UInt8], _ job: [UInt8]
    ) throws(HarnessError) -> String {
        var digest = Digest()
        digest.update(try Self.read(kernel.build.image.path))
        digest.update(image)
        digest.update(job)
        digest.update(Array("\(machine) \(judge)".utf8))
        let what = ArchiveLayout.plainWord("\(result.name)", limit: 48)
        let release = ArchiveLayout.plainWord(kernel.build.release, limit: 44)
        return "bpftest-\(what)-\(release)-\(digest.finish().prefix(12))"
    }

    static func read(_ path: FilePath) throws(HarnessError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path.string) else {
            throw .infrastructure("\(path) cannot be read")
        }
        return Array(data)
    }
}
