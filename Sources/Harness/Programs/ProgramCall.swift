// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
public import SystemPackage
internal import VMRunner

/// A program of the user's to be run in the guest, with what it gets: docs/programs.md.
public struct ProgramCall: Sendable {
    /// What its output is read as.
    public enum Output: Sendable, Equatable {
        /// TAP or KTAP where it is that; else the exit status is the result.
        case tapOrStatus
        /// What test_progs prints about the named test.
        case testProgs(test: String)
    }

    /// As the user named it: program and arguments.
    public var words: [String]
    /// Program, by its path in the guest, and arguments.
    public var arguments: [String]
    public var environment: [String]
    /// nil: an empty folder of its own.
    public var workingDirectory: String?
    public var output = Output.tapOrStatus
    /// What runs it alone again, behind `bpftest run -k KERNEL`.
    public var commandWords: [String]

    /// A clean environment; nothing of the user's leaks in.
    public static let cleanEnvironment = [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TERM=dumb",
    ]

    /// The clean environment with further folders and settings, the later ones winning.
    public static func environment(folders: [String], settings: [String]) -> [String] {
        var all = cleanEnvironment
        let known = all[0].dropFirst(5).split(separator: ":").map(String.init)
        let more = folders.filter { !known.contains($0) }
        if !more.isEmpty { all[0] += ":" + more.joined(separator: ":") }
        for setting in settings {
            let name = setting.prefix { $0 != "=" } + "="
            all.removeAll { $0.hasPrefix(name) }
            all.append(setting)
        }
        return all
    }
}

/// `HOST` or `HOST=GUEST` of a command line: a file or a folder that goes into the guest.
public struct FileToBring: Sendable, Equatable {
    public var host: FilePath
    /// Absolute.
    public var guest: String

    /// - Throws: `.usage` where the guest's path is not absolute.
    public init(_ text: String) throws(HarnessError) {
        let isWhole = FileManager.default.fileExists(atPath: text)
        guard !isWhole, let mark = text.lastIndex(of: "=") else {
            host = FilePath(text)
            guest = ProgramClosure.guestPath(ProgramClosure.absolute(host))
            return
        }
        host = FilePath(String(text[..<mark]))
        let path = FilePath(String(text[text.index(after: mark)...]))
        guard path.isAbsolute else { throw .usage("--file \(text): the path in the guest must be absolute") }
        guest = path.lexicallyNormalized().string
        guard guest != "/" else { throw .usage("--file \(text): / itself cannot be replaced") }
    }
}

extension Selection {
    /// A program of the user's as a suite of one case, which turns into as many as it reports.
    ///
    /// - Parameters:
    ///   - words: program and arguments; the program is a path, or a name that is looked up in PATH.
    ///   - name: of the suite; nil: the program's file's.
    ///   - files: what it finds in the guest besides, as `--file` takes it.
    ///   - settings: `NAME=value` each, for its environment.
    ///   - environment: the process's own: PATH.
    ///   - memoryMiB: of the machine, which must hold all of it.
    /// - Throws: `.usage` for what cannot be run, with the reason.
    public static func program(
        _ words: [String], name: String? = nil, files: [String] = [], settings: [String] = [],
        environment: [String: String], memoryMiB: Int
    ) async throws(HarnessError) -> Selection {
        guard let word = words.first, !word.isEmpty else { throw .usage("there is no program behind --") }
        var path = word
        if !word.contains("/") {
            guard let found = ProgramClosure.find(word, environment: environment) else {
                let hint = FileManager.default.fileExists(atPath: word) ? " (there is ./\(word))" : ""
                throw .usage("\(word) is not in PATH\(hint)")
            }
            path = found
        }
        var closure = try await ProgramClosure(environment: environment)
        let guest = try closure.add(program: FilePath(path))
        try closure.add(files: files, settings: settings)
        try closure.check(memoryMiB: memoryMiB)
        let options = files.flatMap { ["--file", $0] } + settings.flatMap { ["--env", $0] }
        let call = ProgramCall(
            words: words, arguments: [guest] + words.dropFirst(),
            environment: ProgramCall.environment(folders: closure.folders, settings: settings),
            commandWords: options + ["--"] + words)
        let name = name ?? ProgramCall.name(of: word)
        let title = words.map(shellQuoted).joined(separator: " ")
        var selection = Selection(program: call, suite: name, id: name, title: title)
        selection.files = closure.files
        return selection
    }

    init(program: ProgramCall, suite: String, id: String, title: String) {
        let one = SuiteListing.CaseListing(id: id, title: title, spec: [], since: nil, needs: [], alone: nil)
        self.init(
            // It has none, and none is brought in for it.
            agent: Agent(file: "", guestPath: "", isBuiltIn: true),
            suite: SuiteListing(suite: suite, title: title, cases: [one]), cases: [one])
        self.program = program
    }
}

extension ProgramCall {
    /// What a program's suite is called: its file's name, without what names cannot have.
    static func name(of word: String) -> String {
        let name = FilePath(word).lastComponent?.string ?? word
        return String(name.map { $0.isWhitespace || $0 == "#" || $0 == "/" ? "_" : $0 })
    }
}

extension ProgramClosure {
    /// Adds what `--file` names, after checking what `--env` says.
    mutating func add(files: [String], settings: [String]) throws(HarnessError) {
        for setting in settings where !setting.contains("=") || setting.hasPrefix("=") {
            throw .usage("--env \(setting): NAME=VALUE is wanted")
        }
        for text in files {
            let file = try FileToBring(text)
            try add(file: file.host, as: file.guest)
        }
    }

    /// What is brought in lies in the guest's memory, beside the kernel and whatever runs.
    func check(memoryMiB: Int) throws(HarnessError) {
        let needed = (size >> 20) + 64
        guard needed < memoryMiB else {
            throw .usage(
                "the program and its files have \(size >> 20) MiB, more than fits into a machine of \(memoryMiB) MiB: "
                    + "--memory \(needed * 2)")
        }
    }
}
