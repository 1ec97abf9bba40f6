// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing
import VMRunner

@testable import Harness

/// The key `programs` of bpftest.toml.
@Suite struct MatrixProgramsTests {
    private let cache: ScratchCache
    private let environment = ["PATH": "/usr/bin:/bin"]

    init() throws {
        cache = try ScratchCache()
        for name in ["bin/check", "other/check", "bin/count"] { try script(name) }
        try cache.write("data", Data("x".utf8))
        // An agent with one suite; what objects are is asked of it too, and there are none.
        try script("guest/bpftest-agent", #"echo '{"suite":"built.in","title":"t","cases":[]}'"#)
    }

    private func script(_ name: String, _ text: String = "exit 0") throws {
        let file = try cache.write(name, Data("#!/bin/sh\n\(text)\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.string)
    }

    private func config(_ programs: String) throws(HarnessError) -> MatrixConfig {
        let text = "kernels = [\"6.12\"]\n" + programs
        return try MatrixConfig(file: cache.folders.cache.appending("bpftest.toml"), text: text)
    }

    private func selections(_ programs: String, filter: [String] = []) async throws -> [Selection] {
        let files = GuestFiles(directory: cache.folders.cache.appending("guest"))
        return try await config(programs).selections(files, filter: filter, environment: environment) { _ in }
    }

    private func refusal(_ programs: String, filter: [String] = []) async -> String {
        let error = await failure(of: { try await selections(programs, filter: filter) })
        guard case .usage(let text)? = error else { return "no refusal: \(String(describing: error))" }
        return text
    }

    @Test func everyKeyIsRead() throws {
        let config = try config(
            """
            programs = [
                "bin/check",
                { run = ["bin/count", "--fast"], name = "count.fast", files = ["data=/data"], env = ["LEVEL=2"] },
            ]
            """)
        var second = MatrixConfig.Program(words: ["bin/count", "--fast"], name: "count.fast")
        second.files = ["data=/data"]
        second.settings = ["LEVEL=2"]
        #expect(config.programs == [MatrixConfig.Program(words: ["bin/check"]), second])
        let rows = try self.config("[[programs]]\nrun = [\"a\"]\n[[programs]]\nrun = [\"b\", \"c\"]\n")
        #expect(rows.programs.map(\.words) == [["a"], ["b", "c"]])
    }

    /// As `run -- PROGRAM` has it: a suite of one case, paths seen from the file's folder.
    @Test func aProgramIsASuiteOfItsOwn() async throws {
        let found = try await selections(
            """
            [[programs]]
            run = ["bin/check"]
            [[programs]]
            run = ["bin/count", "--fast"]
            name = "count.fast"
            files = ["data=/data"]
            env = ["LEVEL=2"]
            """)
        let folder = cache.folders.cache
        #expect(found.map(\.suite.suite) == ["check", "count.fast"])
        #expect(found.map { $0.cases.map(\.id) } == [["check"], ["count.fast"]])
        let call = try #require(found[1].program)
        #expect(call.arguments == ["\(folder)/bin/count", "--fast"])
        #expect(call.environment.contains("LEVEL=2"))
        #expect(
            call.commandWords
                == ["--file", "\(folder)/data=/data", "--env", "LEVEL=2", "--", "\(folder)/bin/count", "--fast"])
        let paths = found[1].files.map(\.path)
        #expect(paths.contains("/data") && paths.contains("\(folder)/bin/count") && paths.contains("/bin/sh"))
    }

    /// With programs alone nothing built-in runs.
    @Test func theFilterChoosesAmongThem() async throws {
        let both = "programs = [\"bin/check\", \"bin/count\"]"
        #expect(try await selections(both, filter: ["check"]).map(\.suite.suite) == ["check"])
        #expect(try await selections(both, filter: ["c*/c*"]).count == 2)
        #expect(await refusal(both, filter: ["nothing"]).contains("no case matches nothing"))
    }

    @Test(arguments: [
        ("programs = [\"bin/absent\"]", "'programs' has 'bin/absent', and there is no "),
        ("programs = [\"bin/check --fast\"]", "arguments go into [[programs]]"),
        ("programs = [\"absent-from-path\"]", "absent-from-path is not in PATH"),
        ("programs = [\"bin/check\", \"other/check\"]", "two suites are called check: give the program a name"),
        ("programs = [\"data\"]", "data is not in PATH"),
        ("programs = [\"./data\"]", "'programs' has './data'"),
        ("programs = [{ run = [\"bin/check\"], env = [\"X\"] }]", "--env X: NAME=VALUE is wanted"),
        ("programs = [{ run = [\"bin/check\"], files = [\"no=/x\"] }]", "'programs' has 'bin/check': "),
        ("programs = [{ run = [\"bin/check\"], name = \"built.in\" }]", "two suites are called built.in"),
        ("[[programs]]\nname = \"x\"", "[[programs]] number 1 wants 'run'"),
        ("[[programs]]\nrun = [\"x\"]\nfile = []", "'file' in [[programs]] number 1 is unknown: is it 'files'?"),
        ("[[programs]]\nrun = [\"x\"]\nname = \"a b\"", "wants a name without white space"),
        ("programs = \"bin/check\"", "'programs' wants an array of strings and tables"),
        ("programs = [1]", "'programs' wants an array of strings and tables"),
        ("programs = [\"\"]", "'programs' has an empty name"),
    ])
    func whatIsWrongIsSaid(_ programs: String, _ words: String) async {
        let said = await refusal(programs)
        #expect(said.contains("bpftest.toml: ") && said.contains(words), "\(said)")
    }
}
