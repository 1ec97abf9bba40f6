// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

extension MatrixConfig {
    /// Reads the text of a file.
    ///
    /// - Throws: `.usage`: no TOML, an unknown key, a value that cannot be.
    public init(file: FilePath, text: String) throws(HarnessError) {
        self.init(file: file)
        var root = try TOMLSection.parse(text, file: file.string)
        if root.hasTable("kernels") {
            throw .usage(
                "\(file): 'kernels' is the list of kernels; where they come from is said in [sources] and "
                    + "[source.\"NAME\"]")
        }
        kernels = try root.strings("kernels") ?? []
        suites = try root.strings("suites")
        objects = try root.strings("objects") ?? []
        programs = try programs(try root.entries("programs"))
        baseline = try root.string("baseline")
        if var section = try root.section("defaults") { defaults = try Self.defaults(&section) }
        for (name, section) in try root.sections("kernel") {
            guard kernels.contains(name) else {
                let near = Spelling.nearest(to: name, among: kernels).map { ": is it \"\($0)\"?" } ?? ""
                throw .usage("\(file): [kernel.\"\(name)\"] is about no kernel in 'kernels'\(near)")
            }
            var section = section
            special[name] = try kernel(&section)
        }
        for section in try root.list("known") {
            var section = section
            known.append(try Self.known(&section))
        }
        sources = try KernelSources(&root, relativeTo: file.removingLastComponent())
        try root.finish()
        if kernels.isEmpty { throw .usage("\(file): 'kernels' names no kernel: kernels = [\"6.12\"]") }
        if let twice = kernels.first(where: { one in kernels.count(where: { $0 == one }) > 1 }) {
            throw .usage("\(file): 'kernels' has \(twice) twice")
        }
    }

    private func programs(_ entries: [TOMLSection.Entry]) throws(HarnessError) -> [Program] {
        var programs: [Program] = []
        for entry in entries {
            switch entry {
            case .text(let word):
                guard !word.isEmpty else { throw .usage("\(file): 'programs' has an empty name") }
                programs.append(Program(words: [word]))
            case .section(var section):
                let words = try section.strings("run") ?? []
                var program = Program(words: words, name: try section.string("name"))
                program.files = try section.strings("files") ?? []
                program.settings = try section.strings("env") ?? []
                try section.finish()
                guard let first = words.first, !first.isEmpty else {
                    throw .usage("\(file): \(section.name) wants 'run': run = [\"build/my_test\", \"--fast\"]")
                }
                if let name = program.name,
                    name.isEmpty || name.contains(where: { $0.isWhitespace || "#/".contains($0) })
                {
                    throw .usage("\(file): \(section.place("name")) wants a name without white space, '/' and '#'")
                }
                programs.append(program)
            }
        }
        return programs
    }

    private static func defaults(_ section: inout TOMLSection) throws(HarnessError) -> Defaults {
        var defaults = Defaults()
        defaults.jobs = try section.integer("jobs", in: 1...1000)
        defaults.memoryMiB = try section.integer("memory", in: 64...65536)
        defaults.cpus = try section.integer("cpus", in: 1...64)
        defaults.caseSeconds = try section.seconds("case-timeout")
        defaults.bootSeconds = try section.seconds("boot-timeout")
        defaults.runSeconds = try section.seconds("timeout")
        defaults.reruns = try section.integer("reruns", in: 0...1000)
        defaults.append = try section.strings("append") ?? []
        if let text = try section.string("isolated") {
            guard let isolation = Isolation(rawValue: text) else {
                throw .usage(
                    "\(section.file): \(section.place("isolated")) wants \"batch\", \"suite\", \"case\" or \"none\"")
            }
            defaults.isolation = isolation
        }
        try section.finish()
        return defaults
    }

    private func kernel(_ section: inout TOMLSection) throws(HarnessError) -> Kernel {
        var kernel = Kernel()
        kernel.modules = try section.string("modules").map(path)
        kernel.append = try section.strings("append") ?? []
        for text in try section.strings("config") ?? [] {
            guard let expectation = ConfigExpectation(text) else {
                throw .usage(
                    "\(file): \(section.place("config")) wants lines such as \"CONFIG_NETKIT=y\", not \"\(text)\"")
            }
            kernel.config.append(expectation)
        }
        kernel.allow = try CaseList.expand(try section.strings("allow") ?? [], path: path)
        kernel.deny = try CaseList.expand(try section.strings("deny") ?? [], path: path)
        try section.finish()
        return kernel
    }

    private static func known(_ section: inout TOMLSection) throws(HarnessError) -> KnownFailure {
        let pattern = try section.string("case")
        let kernels = try section.strings("kernels") ?? []
        let reason = try section.string("reason")
        let expires = try section.date("expires")
        try section.finish()
        guard let pattern, !pattern.isEmpty else {
            throw .usage("\(section.file): \(section.name) wants 'case', a pattern of SUITE/CASE")
        }
        guard let reason, !reason.isEmpty else {
            throw .usage("\(section.file): \(section.name) wants 'reason': why is it known to fail?")
        }
        return KnownFailure(pattern: pattern, kernels: kernels, reason: reason, expires: expires)
    }
}
