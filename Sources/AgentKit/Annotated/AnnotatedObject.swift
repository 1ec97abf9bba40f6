// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage
internal import TAP

/// A BPF object file as a suite: a case for each program, and for the unprivileged run of one that has it.
struct AnnotatedObject {
    /// A program, and what is expected of it; or what is wrong with its annotations.
    struct Program {
        var place: BPFObjectFile.Program
        var specification: Result<ProgramSpecification, Annotation.Problem>

        var isAuxiliary: Bool {
            if case .success(let one) = specification { one.isAuxiliary } else { false }
        }
    }

    /// The file as the user names it: for messages.
    let name: String
    let bytes: [UInt8]
    /// Where files are that annotations name.
    let folder: String
    let programs: [Program]
    /// Without any annotation every program must load, or must not.
    let isAnnotated: Bool
    let expectsRefusal: Bool
    /// Source lines by program.
    let lines: SourceLines

    init(name: String, folder: String, bytes: [UInt8], expectsRefusal: Bool) throws(FileProblem) {
        self.name = name
        self.folder = folder
        self.bytes = bytes
        self.expectsRefusal = expectsRefusal
        let file = try BPFObjectFile(bytes)
        let types = try ObjectTypes(file.types)
        programs = file.programs.map { place in
            do throws(Annotation.Problem) {
                let annotations = try Annotation.read(all: types.tags[place.name] ?? [])
                return Program(
                    place: place,
                    specification: .success(try ProgramSpecification(annotations, section: place.section)))
            } catch {
                return Program(place: place, specification: .failure(error))
            }
        }
        isAnnotated = file.programs.contains { program in
            (types.tags[program.name] ?? []).contains { $0.hasPrefix("comment:") }
        }
        lines = SourceLines(types: file.types, extended: file.extendedTypes)
    }

    /// Files that annotations name, relative to the object's folder.
    var companions: [String] {
        let paths = programs.flatMap { program -> [String] in
            guard case .success(let one) = program.specification else { return [] }
            return [one.btfPath, one.btfFunctionPath].compactMap { $0 }
        }
        return Set(paths).sorted()
    }

    // MARK: As a suite

    /// The suite of this object.
    ///
    /// - Parameter suite: its name.
    func suite(_ suite: String) -> Suite {
        let cases = programs.flatMap { self.cases($0) }
        guard !cases.isEmpty else {
            return Suite(suite, "programs of \(name)") {
                Case("file", "the object has programs", spec: []) { test in
                    throw test.skip("\(name) has no programs: there is nothing to judge")
                }
            }
        }
        return Suite(suite, "programs of \(name)", prepare: ProgramLoad.warmUp) { cases }
    }

    private func cases(_ program: Program) -> [Case] {
        let id = program.place.name
        let title: String
        switch program.specification {
        case .failure(let problem):
            return [
                Case(id, "its annotations can be read", spec: []) { test in
                    fail(test, program, problem)
                }
            ]
        case .success(let specification):
            if specification.isAuxiliary { return [] }
            guard isAnnotated else {
                title = expectsRefusal ? "is refused" : "loads"
                return [Case(id, title, spec: []) { try PlainProgram(object: self, program: program).run($0) }]
            }
            return ProgramSpecification.Mode.allCases.filter { specification.modes.contains($0) }.map { mode in
                Case(
                    mode == .privileged ? id : id + ".unpriv", Self.title(specification, mode), spec: []
                ) { test in
                    try AnnotatedProgram(object: self, program: program, specification: specification, mode: mode).run(
                        test)
                }
            }
        }
    }

    private func fail(_ test: Test, _ program: Program, _ problem: Annotation.Problem) {
        let at = lines.line(of: program.place)
        test.fail(
            "\(name): program \(program.place.name): \(problem.text)",
            expected: "annotations of docs/annotated-objects.md", observed: problem.text,
            file: at?.file ?? name, line: at?.line ?? 0)
        test.note("hint", "correct the annotation, or use a bpftest that knows it")
    }

    /// What is promised, in a line.
    private static func title(_ specification: ProgramSpecification, _ mode: ProgramSpecification.Mode) -> String {
        let who = mode == .unprivileged ? ", for an unprivileged user" : ""
        if let text = specification.description { return cleaned(text) + who }
        let expected = specification.expectations(mode)
        if expected.isRefused {
            let message = expected.messages.first { !$0.isUnwanted }.map { ": \($0.pattern.text)" } ?? ""
            return cleaned("is refused\(message)") + who
        }
        switch expected.result {
        case .value(let number): return "loads and returns \(number)\(who)"
        case .any: return "loads and runs\(who)"
        case nil: return "loads\(who)"
        }
    }

    private static func cleaned(_ text: String) -> String {
        let line = String(text.map { $0.isNewline || $0 == "\t" ? " " : $0 })
        return line.count > 120 ? line.prefix(119) + "…" : line
    }
}

/// The object files that were brought into the guest, each in a folder of its own.
public enum AnnotatedObjects {
    /// Where they are in the guest: `BPFTEST_ANNOTATED`.
    private static var folder: String {
        guard let named = unsafe getenv("BPFTEST_ANNOTATED") else { return "/run/bpftest/annotated" }
        return unsafe String(cString: named)
    }

    /// The suite of an object that was brought in under this name; nil where none was.
    ///
    /// - Source: docs/annotated-objects.md, "In the guest".
    static func suite(_ name: String) -> Suite? {
        let folder = folder + "/" + name
        // Written by the harness before the agent is called: what cannot be read was not brought in, and the caller says
        // that there is no such suite.
        guard let text = try? readFile(folder + "/options") else { return nil }
        let options = Options(String(decoding: text, as: UTF8.self))
        if let cause = options["problem"] {
            return brokenSuite(
                name, options["name"] ?? name, FileProblem(cause: cause, advice: options["advice"] ?? ""))
        }
        return suite(
            name, file: folder + "/object", called: options["name"] ?? name, folder: folder,
            expectsRefusal: options["expect-load-failure"] != nil)
    }

    private static func suite(
        _ suite: String, file: String, called name: String, folder: String, expectsRefusal: Bool
    ) -> Suite {
        do throws(FileProblem) {
            return try AnnotatedObject(
                name: name, folder: folder, bytes: read(file), expectsRefusal: expectsRefusal
            ).suite(suite)
        } catch {
            return brokenSuite(suite, name, error)
        }
    }

    private static func read(_ file: String) throws(FileProblem) -> [UInt8] {
        do throws(Errno) {
            return try readFile(file, limit: 256 << 20)
        } catch {
            throw FileProblem(
                cause: error == .noSuchFileOrDirectory
                    ? "there is no such file" : "it cannot be read: \(error.name) (\(error.rawValue))",
                advice: "name a file that can be read")
        }
    }

    /// The one case of a file that nothing can be said of but that it is broken.
    private static func brokenSuite(_ suite: String, _ name: String, _ problem: FileProblem) -> Suite {
        Suite(suite, "programs of \(name)") {
            Case("file", "the file is a BPF object that can be judged", spec: []) { test in
                test.fail(
                    "\(name): \(problem.cause)", expected: "a BPF object for this machine, whole and with BTF",
                    observed: problem.cause, file: name, line: 0)
                test.note("at", name)
                test.note("hint", problem.advice)
            }
        }
    }

    /// `AGENT describe SUITE FILE [SUITE FILE…]`: a line of `list` for each file, loading nothing.
    ///
    /// - Returns: nil when the call is wrong.
    static func describe(_ arguments: ArraySlice<String>) -> [String]? {
        var words = Array(arguments)
        var expectsRefusal = false
        if words.first == "--expect-load-failure" {
            expectsRefusal = true
            words.removeFirst()
        }
        guard words.count % 2 == 0 else { return nil }
        return stride(from: 0, to: words.count, by: 2).map { index in
            let (name, file) = (words[index], words[index + 1])
            do throws(FileProblem) {
                let object = try AnnotatedObject(
                    name: file, folder: "", bytes: read(file), expectsRefusal: expectsRefusal)
                let files = object.companions.map { JSONText.quote($0) }.joined(separator: ",")
                return Catalogue.line(object.suite(name), more: ",\"files\":[\(files)]")
            } catch {
                return Catalogue.line(
                    brokenSuite(name, file, error),
                    more: ",\"problem\":{\"cause\":\(JSONText.quote(error.cause)),"
                        + "\"advice\":\(JSONText.quote(error.advice))}")
            }
        }
    }

    /// Lines of a key and the rest.
    private struct Options {
        private var values: [String: String] = [:]

        init(_ text: String) {
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ", maxSplits: 1)
                values[String(words[0])] = words.count > 1 ? String(words[1]) : ""
            }
        }

        subscript(key: String) -> String? { values[key] }
    }
}
