// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

extension KernelSources {
    /// What the environment, a command line and files say together.
    ///
    /// - Parameters:
    ///   - environment: `BPFTEST_KERNELS_DIR`, folders with a colon between them, and `BPFTEST_SOURCES`, a file.
    ///   - folders: with builds; they come before the environment's.
    ///   - files: with `[sources]` and `[source."NAME"]`: docs/kernels.md has the form.
    /// - Throws: `.usage` for a file that cannot be read or says what cannot be.
    public static func all(
        environment: [String: String], folders: [String], files: [String]
    ) throws(HarnessError) -> KernelSources {
        var sources = KernelSources(folders: folders.map { FilePath($0) })
        for file in files { sources = try sources.joined(try read(FilePath(file)), from: file) }
        sources = sources.adding(KernelSources(environment: environment))
        if let file = environment["BPFTEST_SOURCES"], !file.isEmpty {
            sources = try sources.joined(try read(FilePath(file)), from: file)
        }
        return sources
    }

    /// These and a file's; of two sources of one name it is not clear which is meant.
    private func joined(_ other: KernelSources, from file: String) throws(HarnessError) -> KernelSources {
        for template in other.templates where templates.contains(where: { $0.name == template.name && $0 != template })
        {
            throw .usage("\(file): there is another kernel source of the name \(template.name)")
        }
        return adding(other)
    }

    /// Reads a file of sources, or those of a `bpftest.toml`.
    public static func read(_ path: FilePath) throws(HarnessError) -> KernelSources {
        guard let data = FileManager.default.contents(atPath: path.string) else {
            throw .usage("the kernel sources \(path) cannot be read")
        }
        guard data.count < 1 << 20 else { throw .usage("\(path) is larger than 1 MiB: is it the right file?") }
        guard let text = String(validating: data, as: UTF8.self) else { throw .usage("\(path) is not UTF-8") }
        var root = try TOMLSection.parse(text, file: path.string)
        if root.has("kernels") { return try MatrixConfig(file: path, text: text).sources }
        let sources = try KernelSources(&root, relativeTo: path.removingLastComponent())
        try root.finish()
        return sources
    }

    /// Reads the tables of a file that are about sources.
    ///
    /// - Parameter folder: paths are relative to it.
    init(_ root: inout TOMLSection, relativeTo folder: FilePath) throws(HarnessError) {
        self.init()
        if var section = try root.section("sources") {
            folders = (try section.strings("folders") ?? []).map { folder.pushing(FilePath($0)) }
            usesDebian = try section.boolean("debian") ?? true
            try section.finish()
        }
        for (name, section) in try root.sections("source") {
            var section = section
            templates.append(try Self.template(name, &section))
        }
        if !usesDebian, folders.isEmpty, templates.isEmpty {
            throw .usage(
                "\(root.file): [sources] has debian = false and no folders, and there is no [source.\"NAME\"]: kernels "
                    + "by version would come from nowhere")
        }
    }

    private static func template(_ name: String, _ section: inout TOMLSection) throws(HarnessError) -> KernelTemplate {
        var urls = try section.strings("urls") ?? []
        if let url = try section.string("url") { urls.insert(url, at: 0) }
        var checksums: [String: [String]] = [:]
        if let sums = try section.section("sha256") { checksums = try sums.lists() }
        try section.finish()
        let template = KernelTemplate(name: name, urls: urls, checksums: checksums)
        if let complaint = template.complaint { throw .usage("\(section.file): \(complaint)") }
        guard !checksums.isEmpty else {
            throw .usage(
                "\(section.file): \(section.name) names no version: [source.\"\(name)\".sha256] has a line for each, "
                    + "\"6.12.30-\(name)\" = \"SHA-256\"")
        }
        return template
    }
}
