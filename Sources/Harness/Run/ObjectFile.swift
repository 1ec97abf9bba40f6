// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// A BPF object of the user's: a suite of its own, brought into the machines that run it.
public struct ObjectFile: Sendable, Equatable {
    /// What it is called on the command line, or would be: the path.
    public var given: String
    /// The name of its suite: the file's, with as many folders as tell it from others.
    public var suite: String
    /// Every program must be refused, where nothing is annotated.
    public var expectsLoadFailure: Bool
    /// Why there is nothing in it to be run; found when it was described.
    public var problem: Problem?
    /// Further files that its annotations name, relative to its folder.
    public var companions: [String] = []

    public struct Problem: Sendable, Codable, Equatable {
        public var cause: String
        public var advice: String
    }

    /// Where object files are in the guest, each in a folder with the name of its suite.
    static let folder = "/run/bpftest/annotated"

    /// What is brought into the guest: the object, how to judge it, and what it needs.
    var guestFiles: [GuestFile] {
        let folder = "\(Self.folder)/\(suite)"
        var options = "name \(given)\n"
        if expectsLoadFailure { options += "expect-load-failure\n" }
        if let problem {
            options += "problem \(Self.line(problem.cause))\nadvice \(Self.line(problem.advice))\n"
            return [GuestFile(.bytes(Array(options.utf8)), as: folder + "/options")]
        }
        let home = FilePath(given).removingLastComponent()
        let others = companions.compactMap { name -> GuestFile? in
            let path = FilePath(name).isAbsolute ? FilePath(name) : home.appending(name)
            // Whoever needs it says that it is not there.
            guard FileManager.default.isReadableFile(atPath: path.string), !name.contains("..") else { return nil }
            return GuestFile(.file(path), as: "\(folder)/files/\(name)")
        }
        return [
            GuestFile(.bytes(Array(options.utf8)), as: folder + "/options"),
            GuestFile(.file(FilePath(given)), as: folder + "/object"),
        ] + others
    }

    private static func line(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}

/// The words of a command line that say what to run: object files, folders of them, and names of suites and cases.
public struct RunNames: Sendable, Equatable {
    public var objects: [ObjectFile] = []
    /// Names of suites and cases; of cases of objects, with the object's suite.
    public var names: [String] = []
    /// Object files that stand there with a case behind them: only such cases are wanted of them.
    private var narrowed: Set<String> = []
    /// What was left out of a folder, in words.
    public var remarks: [String] = []

    /// Tells files from names.
    ///
    /// What ends in `.o`, or exists as a file or a folder, is a file; FILE/PROGRAM is a case of one.
    /// - Throws: a folder without object files.
    public init(_ words: [String], expectsLoadFailure: Bool) throws(HarnessError) {
        var files: [(path: String, wanted: String?)] = []
        for word in words {
            if let (file, program) = Self.programOfFile(word) {
                files.append((file, program))
            } else if Self.isFolder(word) {
                files += try objects(in: word).map { ($0, nil) }
            } else if Self.isPath(word) {
                files.append((word, nil))
            } else {
                names.append(word)
            }
        }
        let paths = files.map(\.path).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let suites = Self.suites(of: paths)
        objects = zip(paths, suites).map {
            ObjectFile(given: $0, suite: $1, expectsLoadFailure: expectsLoadFailure)
        }
        for (path, suite) in zip(paths, suites) {
            let wanted = files.filter { $0.path == path }
            if wanted.contains(where: { $0.wanted == nil }) {
                names.append(suite)
            } else {
                names += wanted.compactMap { one in one.wanted.map { "\(suite)/\($0)" } }
            }
        }
    }

    /// Whether a word names a file or a folder, or a program in a file, and no suite or case.
    public static func isPath(_ word: String) -> Bool {
        word.hasSuffix(".o") || ["/", "./", "../"].contains(where: word.hasPrefix) || isFolder(word)
            || programOfFile(word) != nil
    }

    /// FILE.o/PROGRAM, unless there is such a file.
    private static func programOfFile(_ word: String) -> (String, String)? {
        guard let slash = word.lastIndex(of: "/"), word[..<slash].hasSuffix(".o"), !isFolder(String(word[..<slash]))
        else { return nil }
        let program = word[word.index(after: slash)...]
        return program.isEmpty ? nil : (String(word[..<slash]), String(program))
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }

    /// The object files in a folder and below, in the order of their paths.
    private mutating func objects(in folder: String) throws(HarnessError) -> [String] {
        guard let all = FileManager.default.enumerator(atPath: folder) else {
            throw .usage("\(folder) cannot be read")
        }
        let names = all.compactMap { $0 as? String }.filter { $0.hasSuffix(".o") }.sorted()
        let base = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
        let paths = names.map { "\(base)/\($0)" }.filter { !Self.isFolder($0) }
        // Beside BPF objects there may be those of programs that use them; a name with .bpf.o is a promise.
        let objects = paths.filter { $0.hasSuffix(".bpf.o") || !Self.isForHost($0) }
        if objects.count < paths.count {
            remarks.append("\(folder): left out \(paths.count - objects.count) object files that are not for BPF")
        }
        guard !objects.isEmpty else { throw .usage("there are no BPF objects (*.bpf.o, *.o) in \(folder)") }
        return objects
    }

    /// Whether a file is an ELF object for another machine than BPF.
    private static func isForHost(_ path: String) -> Bool {
        guard let head = try? readFile(path, limit: 64), head.count >= 20, head.starts(with: [0x7f, 0x45, 0x4c, 0x46])
        else { return false }
        let machine = head[5] == 2 ? (head[18], head[19]) : (head[19], head[18])
        return machine != (0, 247)
    }

    /// Short names that tell the paths apart.
    static func suites(of paths: [String]) -> [String] {
        let parts = paths.map { path in
            path.split(separator: "/").filter { $0 != "." && $0 != ".." }.map { part in
                String(part.map { $0.isWhitespace || $0 == "#" ? "_" : $0 })
            }
        }
        return parts.indices.map { index in
            let own = parts[index]
            for count in 1..<max(2, own.count + 1) {
                let name = own.suffix(count)
                if !parts.indices.contains(where: { $0 != index && parts[$0].suffix(count) == name }) {
                    return name.joined(separator: "/")
                }
            }
            // The same parts, behind other dots: told apart by where they stand.
            return own.joined(separator: "/") + "@\(index)"
        }
    }
}

extension Catalogue {
    /// Asks our own agent what programs object files have, which it reads without a guest.
    public static func describe(
        _ objects: [ObjectFile], _ files: GuestFiles
    ) async throws(HarnessError) -> [(object: ObjectFile, suite: SuiteListing)] {
        var answer: [(object: ObjectFile, suite: SuiteListing)] = []
        // A command line holds 2 MiB.
        for start in stride(from: 0, to: objects.count, by: 200) {
            let some = objects[start..<min(start + 200, objects.count)]
            let turned = some.contains { $0.expectsLoadFailure } ? ["--expect-load-failure"] : []
            let text = try await Tool.require(
                files.agent.string, ["describe"] + turned + some.flatMap { [$0.suite, $0.given] }, package: "bpftest",
                to: "read the object files")
            let suites = try parse(text, from: files.agent.string)
            guard suites.count == some.count else {
                throw .infrastructure("\(files.agent) describe: \(suites.count) answers for \(some.count) files")
            }
            for (object, suite) in zip(some, suites) {
                var object = object
                object.problem = suite.problem
                object.companions = suite.files ?? []
                answer.append((object, suite))
            }
        }
        return answer
    }
}
