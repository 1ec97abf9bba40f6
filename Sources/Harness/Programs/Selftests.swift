// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
internal import VMRunner

/// A built folder of the kernel's BPF selftests: test_progs, and what it opens while it runs.
public struct Selftests: Sendable {
    public let folder: FilePath
    /// Every test that test_progs has, in its order.
    public let tests: [String]
    /// What a person should know before the run.
    public private(set) var remarks: [String] = []
    /// DENYLIST and ALLOWLIST files beside it, as the kernel's own CI applies them.
    public private(set) var lists = TestChoice()

    /// What the folder is called in the guest.
    static let guestFolder = "/selftests/bpf"
    /// What test_progs needs at least, by the experience of the kernel's own CI.
    public static let memoryMiB = 2048
    public static let cpus = 2
    /// Seconds that a test may take.
    public static let caseLimit = 120.0

    /// - Parameters:
    ///   - named: the folder; nil: that of the first kernel that is a source tree, or the O= folder of one.
    ///   - kernels: as `-k` names them.
    public init(named: String?, kernels: [String]) throws(HarnessError) {
        let inTree = "tools/testing/selftests/bpf"
        // A build folder has a link to the tree that it was built from.
        let trees = kernels.map { FilePath($0) }.flatMap { [(nil, $0), ($0, $0.appending("source"))] }
            .map { (output: $0.0, folder: $0.1.appending(inTree)) }
        let found = trees.first { FileManager.default.fileExists(atPath: $0.folder.string) }
        guard let folder = named.map({ FilePath($0) }) ?? found?.folder else {
            throw .usage(
                "--selftests wants the kernel's source tree as -k, or the folder with test_progs: --selftests=DIR")
        }
        self.folder = FilePath(ProgramClosure.absolute(folder))
        let output = named == nil ? found?.output.map { " KDIR=\($0) VMLINUX_BTF=\($0)/vmlinux" } : nil
        let build = "build it: make -C \(folder) test_progs\(output ?? "")"
        guard FileManager.default.isExecutableFile(atPath: folder.appending("test_progs").string) else {
            throw .usage("there is no test_progs in \(folder): \(build)")
        }
        let header = folder.appending("prog_tests/tests.h")
        guard let text = try? String(contentsOfFile: header.string, encoding: .utf8) else {
            throw .usage("\(header), which lists the tests, cannot be read: \(build)")
        }
        tests = Self.parse(text)
        guard !tests.isEmpty else { throw .usage("\(header) names no test: \(build)") }
        for (name, isDeny) in [("DENYLIST", true), ("ALLOWLIST", false)] {
            for file in [name, name + ".x86_64"] {
                guard let list = try? String(contentsOfFile: folder.appending(file).string, encoding: .utf8) else {
                    continue
                }
                if isDeny { lists.unwanted.add(list: list) } else { lists.wanted.add(list: list) }
                remarks.append("\(folder.appending(file)) applies")
            }
        }
    }

    /// Names of `DEFINE_TEST(name)` lines.
    static func parse(_ header: String) -> [String] {
        header.split(whereSeparator: \.isNewline).compactMap { line in
            guard line.hasPrefix("DEFINE_TEST("), let end = line.firstIndex(of: ")") else { return nil }
            return String(line[line.index(line.startIndex, offsetBy: 12)..<end])
        }
    }

    /// A selection for each test that is wanted.
    ///
    /// - Parameters:
    ///   - choice: what the command line says; the lists beside the tests apply besides.
    ///   - environment: the process's own: PATH, where the tools that tests call are looked up.
    public mutating func selections(
        _ choice: TestChoice, environment: [String: String], memoryMiB: Int
    ) async throws(HarnessError) -> [Selection] {
        var all = lists
        // What is asked for on the command line narrows the lists' choice; it does not widen it.
        let listed = lists.wanted
        if !choice.wanted.isEmpty { all.wanted = choice.wanted }
        for name in choice.unwanted.names where !all.unwanted.names.contains(name) { all.unwanted.insert(name) }
        let chosen = tests.compactMap { test -> (String, [String])? in
            if !listed.isEmpty, !listed.hasSome(of: test) { return nil }
            return all.options(for: test).map { (test, $0) }
        }
        guard !chosen.isEmpty else { throw .usage(nothingLeft(choice)) }
        let files = try await files(environment: environment, memoryMiB: memoryMiB)
        let shell = "ip link set lo up 2>/dev/null; exec ./test_progs \"$@\""
        return chosen.map { test, options in
            var call = ProgramCall(
                words: ["test_progs"] + options, arguments: ["/bin/sh", "-c", shell, "test_progs"] + options,
                environment: ProgramCall.cleanEnvironment,
                commandWords: ["--selftests=\(folder)"] + options)
            call.workingDirectory = Self.guestFolder
            call.output = .testProgs(test: test)
            var selection = Selection(program: call, suite: "test_progs/\(test)", id: test, title: "")
            selection.frozenFiles = files
            return selection
        }
    }

    private func nothingLeft(_ choice: TestChoice) -> String {
        let known = tests.filter { choice.options(for: $0) != nil }
        guard !known.isEmpty else {
            let some = tests.prefix(10).joined(separator: ", ")
            return "no test of \(folder)/test_progs matches; it has \(tests.count): \(some), …"
        }
        return "the lists beside \(folder)/test_progs leave out \(known.joined(separator: ", "))"
    }

    // MARK: Files

    /// Programs that tests start through the shell.
    private static let tools = [
        "ip", "tc", "bash", "ping", "ping6", "ethtool", "iptables", "ip6tables", "nft", "mount", "umount", "mkdir",
        "rm", "cat", "grep", "sysctl", "dd", "openssl",
    ]
    /// Programs beside test_progs that tests start.
    private static let companions = [
        "urandom_read", "uprobe_multi", "xdp_synproxy", "sign-file", "ima_setup.sh", "verify_sig_setup.sh", "bpftool",
    ]

    private mutating func files(
        environment: [String: String], memoryMiB: Int
    ) async throws(HarnessError) -> [GuestFile] {
        var closure = try await ProgramClosure(environment: environment)
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder.string).sorted()
        } catch {
            throw .usage("\(folder) cannot be read: \(Folders.reason(error))")
        }
        try closure.add(file: folder.appending("test_progs"), as: Self.guestFolder + "/test_progs")
        for name in names {
            let isData = [".bpf.o", ".ko", ".so"].contains { name.hasSuffix($0) } && !name.contains(".linked")
            guard isData || Self.companions.contains(name) else { continue }
            let file = folder.appending(name)
            // A link to a bpftool that was not built.
            guard FileManager.default.isReadableFile(atPath: file.string) else { continue }
            try closure.add(file: file, as: "\(Self.guestFolder)/\(name)", isStrict: false)
        }
        let sources = (try? FileManager.default.contentsOfDirectory(atPath: folder.appending("progs").string)) ?? []
        for name in sources.sorted() where name.hasPrefix("btf_dump_test_case_") && name.hasSuffix(".c") {
            try closure.add(
                file: folder.appending("progs").appending(name), as: "\(Self.guestFolder)/progs/\(name)")
        }
        var missing: [String] = []
        let path = ["PATH": (environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"]
        for name in Self.tools {
            guard let tool = ProgramClosure.find(name, environment: path) else {
                missing.append(name)
                continue
            }
            try closure.add(file: FilePath(tool), as: tool, isStrict: false)
        }
        try closure.add(file: "/bin/sh", as: "/bin/sh")
        if !missing.isEmpty {
            let list = missing.joined(separator: ", ")
            remarks.append("not on this machine, and missed by tests that call them: \(list)")
        }
        remarks += closure.remarks
        try closure.check(memoryMiB: memoryMiB)
        // Folders that tests mount on, or make folders in.
        let folders = ["/mnt", "/var/run"].map { GuestFile(.bytes([]), as: "\($0)/.bpftest") }
        return closure.files + folders
    }
}

extension TestNames {
    mutating func insert(_ name: Name) {
        add(list: name.text)
    }
}
