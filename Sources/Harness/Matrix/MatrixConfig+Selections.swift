// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import SystemPackage
internal import VMRunner

extension MatrixConfig {
    /// The suites and cases that it names, in the order of the reports: built-in ones, objects, programs.
    ///
    /// - Parameters:
    ///   - environment: the process's own: PATH, for programs and what they need.
    ///   - filter: as `-t`: globs over SUITE/CASE of which one must match; no condition when empty.
    ///   - remark: gets what was left out, in words.
    /// - Throws: `.usage` for a name that means nothing.
    public func selections(
        _ files: GuestFiles, filter: [String],
        environment: [String: String], remark: (String) -> Void
    ) async throws(HarnessError) -> [Selection] {
        var words: [String] = []
        for pattern in objects { words += try expanded(pattern) }
        let what = try RunNames(words, expectsLoadFailure: false)
        what.remarks.forEach(remark)
        let described = try await Catalogue.describe(what.objects, files)
        let builtIn = try await Catalogue.builtIn(files)
        var chosen = builtIn
        if let suites {
            for pattern in suites where !builtIn.contains(where: { Self.takes(pattern, $0) }) {
                let near = Spelling.nearest(to: pattern, among: builtIn.map(\.suite)).map { ": is it '\($0)'?" }
                throw .usage(
                    "\(file): 'suites' has '\(pattern)', which is no suite or case\(near ?? " (bpftest list shows them)")"
                )
            }
            chosen = builtIn.compactMap { suite in
                var suite = suite
                suite.cases = suite.cases.filter { one in
                    suites.contains { CaseList.matches($0, "\(suite.suite)/\(one.id)") }
                }
                return suite.cases.isEmpty ? nil : suite
            }
        } else if !objects.isEmpty || !programs.isEmpty {
            chosen = []
        }
        let offered = chosen + described.map(\.suite)
        let programs = try await programSelections(environment, besides: builtIn.map(\.suite) + offered.map(\.suite))
            .filter { one in filter.isEmpty || filter.contains { Glob.matches($0, one.name(of: one.cases[0].id)) } }
        let isAny = offered.contains { suite in
            filter.isEmpty
                || suite.cases.contains { one in
                    filter.contains { Glob.matches($0, "\(suite.suite)/\(one.id)") }
                }
        }
        if !programs.isEmpty, !isAny { return programs }
        let byName = Dictionary(uniqueKeysWithValues: described.map { ($0.object.suite, $0.object) })
        return try Catalogue.select(
            [(agent: .builtIn(files), suites: offered)], names: [], patterns: filter, objects: byName) + programs
    }

    /// The programs, each as a suite of one case that turns into as many as it reports.
    private func programSelections(
        _ environment: [String: String], besides taken: [String]
    ) async throws(HarnessError) -> [Selection] {
        var names = Set(taken)
        var selections: [Selection] = []
        for program in programs {
            var words = program.words
            if words[0].contains("/") {
                words[0] = path(words[0])
                guard FileManager.default.fileExists(atPath: words[0]) else {
                    let hint =
                        words[0].contains(" ") ? ": arguments go into [[programs]]: run = [PROGRAM, ARGUMENT]" : ""
                    throw .usage("\(file): 'programs' has '\(program.words[0])', and there is no \(words[0])\(hint)")
                }
            }
            let selection: Selection
            do throws(HarnessError) {
                selection = try await Selection.program(
                    words, name: program.name, files: program.files.map(fileToBring), settings: program.settings,
                    environment: environment, memoryMiB: defaults.memoryMiB ?? RunOptions().settings.memoryMiB)
            } catch .usage(let text) {
                throw .usage("\(file): 'programs' has '\(program.words[0])': \(text)")
            } catch {
                throw error
            }
            guard names.insert(selection.suite.suite).inserted else {
                throw .usage(
                    "\(file): two suites are called \(selection.suite.suite): give the program a name: [[programs]] "
                        + "run = [\"\(program.words[0])\"], name = \"…\"")
            }
            selections.append(selection)
        }
        return selections
    }

    /// `HOST` or `HOST=GUEST`, the host's path seen from the current folder.
    private func fileToBring(_ text: String) -> String {
        let whole = path(text)
        guard !FileManager.default.fileExists(atPath: whole), let mark = text.lastIndex(of: "=") else { return whole }
        return path(String(text[..<mark])) + text[mark...]
    }

    /// Whether a pattern of `suites` means something in a suite.
    private static func takes(_ pattern: String, _ suite: SuiteListing) -> Bool {
        suite.cases.contains { CaseList.matches(pattern, "\(suite.suite)/\($0.id)") }
    }

    /// The paths that a pattern of `objects` stands for.
    private func expanded(_ pattern: String) throws(HarnessError) -> [String] {
        let path = path(pattern)
        guard path.contains(where: { "*?[".contains($0) }) else {
            guard FileManager.default.fileExists(atPath: path) else {
                throw .usage("\(file): 'objects' has '\(pattern)', and there is no \(path)")
            }
            return [path]
        }
        var found = unsafe glob_t()
        defer { unsafe globfree(&found) }
        guard unsafe glob(path, 0, nil, &found) == 0 else {
            throw .usage("\(file): 'objects' has '\(pattern)', and no file is there that matches \(path)")
        }
        return unsafe (0..<Int(found.gl_pathc)).compactMap { index in
            unsafe found.gl_pathv[index].map { unsafe String(cString: $0) }
        }
    }
}

extension MatrixConfig {
    /// Puts the kernels that are meant in the place of `all`; what is special about it is so for each of them.
    ///
    /// - Parameter only: those that are wanted, as `kernels` names them or as `all` stands for them; empty: every one.
    /// - Throws: `.usage` for one that is wanted and not there.
    public mutating func expandKernels(only: [String], _ store: KernelStore) async throws(HarnessError) {
        // Nothing is looked up for kernels that nobody wants.
        let isNamed = !only.isEmpty && only.allSatisfy(kernels.contains)
        var expanded: [(origin: String, spec: String)] = []
        for origin in kernels where !isNamed || only.contains(origin) {
            let taken = kernels + expanded.map(\.spec)
            for spec in try await store.expand([origin]) where spec == origin || !taken.contains(spec) {
                expanded.append((origin, spec))
                if special[spec] == nil { special[spec] = special[origin] }
            }
        }
        for one in only where !expanded.contains(where: { $0.origin == one || $0.spec == one }) {
            throw .usage("\(file) has no kernel \(one); it has: \(expanded.map(\.spec).joined(separator: ", "))")
        }
        kernels = expanded.filter { only.isEmpty || only.contains($0.origin) || only.contains($0.spec) }.map(\.spec)
    }
}

extension PreparedKernel {
    /// Finds or fetches a kernel, checks what is known of it, and makes its guest image.
    ///
    /// - Parameter modules: where its modules are, if not beside it.
    public static func prepare(
        _ spec: String, modules: String?, _ files: GuestFiles, _ store: KernelStore
    ) async throws(HarnessError) -> PreparedKernel {
        let build = try await store.resolve(spec, modules: modules.map { FilePath($0) })
        if let config = build.config {
            let missing = config.missing()
            guard missing.isEmpty else {
                throw .usage("\(build.origin) cannot run the tests:\n  " + missing.joined(separator: "\n  "))
            }
        }
        let image = try await GuestImage.prepare(build, initFile: files.initProgram, folders: store.folders)
        return PreparedKernel(build: build, image: image, spec: spec)
    }
}

extension KernelStore {
    /// Whether a kernel can be had without the network.
    func isAtHand(_ spec: String) -> Bool {
        if spec.contains("/") || FileManager.default.fileExists(atPath: spec) { return true }
        if cachedKernels().contains(where: { $0.isCalled(spec) }) { return true }
        return KernelRequest(spec).map { cached($0) != nil } ?? true
    }
}
