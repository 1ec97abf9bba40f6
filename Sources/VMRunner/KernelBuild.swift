// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// A kernel to be tested, with what belongs to it.
public struct KernelBuild: Sendable, Equatable {
    public var image: KernelImage
    public var version: KernelVersion
    /// nil where none was found beside the image.
    public var config: KernelConfig?
    /// Where that was read.
    public var configFile: FilePath?
    /// The folder that holds `kernel/…/*.ko*`, as lib/modules/RELEASE does; nil where there are none.
    public var modules: FilePath?
    /// What the user gave: file, tree, package or version.
    public var origin: String

    public var release: String { image.release }

    /// A kernel file: its config and modules are looked for beside it, as distributions and build trees lay them out.
    ///
    /// - Parameter modules: where the user says that they are, as in `findModules(of:in:)`.
    public init(file: FilePath, modules: FilePath? = nil, origin: String? = nil) throws(KernelError) {
        image = try KernelImage(inspecting: file)
        guard let version = KernelVersion(image.release) else {
            throw KernelError("\(file): \(image.release) is no kernel version")
        }
        self.version = version
        self.origin = origin ?? file.string
        let release = image.release
        // .../arch/x86/boot/bzImage belongs to the tree that it was built in; a vmlinux lies at the tree's root.
        var folder = file.removingLastComponent()
        if folder.ends(with: "arch/x86/boot") { for _ in 0..<3 { folder.removeLastComponent() } }
        let configs = ["config-\(release)", ".config", "config"]
        for name in configs where config == nil {
            config = Self.readConfig(folder.appending(name))
            configFile = config.map { _ in folder.appending(name) }
        }
        if let modules {
            self.modules = try Self.findModules(of: release, in: modules)
        } else {
            // boot/ beside lib/ or usr/, both in one folder, or the kernel in the folder of its modules.
            let beside = [folder, folder.removingLastComponent()].flatMap { Self.moduleFolders(of: release, in: $0) }
            let inside = folder.lastComponent?.string == release || Self.isBuildTree(folder) ? [folder] : []
            self.modules = (beside + inside).first { Self.holdsModules($0) }
        }
    }

    /// The folder with the modules of a release.
    ///
    /// - Parameter root: a root with lib/modules/RELEASE, a folder with RELEASE, that folder itself, or a build tree.
    public static func findModules(of release: String, in root: FilePath) throws(KernelError) -> FilePath {
        let candidates = moduleFolders(of: release, in: root) + [root.appending(release), root]
        if let found = candidates.first(where: { holdsModules($0) }) { return found }
        throw KernelError("\(root) holds no modules of \(release): neither lib/modules/\(release) nor kernel/")
    }

    /// Where a root keeps the modules of a release; packages of systems with a merged /usr have no lib/ (Debian 13).
    private static func moduleFolders(of release: String, in root: FilePath) -> [FilePath] {
        ["lib/modules", "usr/lib/modules"].map { root.appending($0).appending(release) }
    }

    private static func isBuildTree(_ path: FilePath) -> Bool {
        FileManager.default.fileExists(atPath: path.appending(".config").string)
            && FileManager.default.fileExists(atPath: path.appending("modules.order").string)
    }

    /// A build tree, or the O= directory of one.
    public init(tree: FilePath) throws(KernelError) {
        let file = tree.appending("arch/x86/boot/bzImage")
        guard FileManager.default.fileExists(atPath: file.string) else {
            let state =
                FileManager.default.fileExists(atPath: tree.appending(".config").string)
                ? "it is configured but has no arch/x86/boot/bzImage: build it first (make bzImage modules)"
                : "it has neither arch/x86/boot/bzImage nor .config; with O= give the output directory"
            throw KernelError("\(tree) is no built kernel tree: \(state)")
        }
        try self.init(file: file, origin: tree.string)
        config = Self.readConfig(tree.appending(".config"))
        configFile = config.map { _ in tree.appending(".config") }
        // Modules are found in place: modules.order lists them by their path in the tree.
        modules = FileManager.default.fileExists(atPath: tree.appending("modules.order").string) ? tree : nil
    }

    static func holdsModules(_ path: FilePath) -> Bool {
        FileManager.default.fileExists(atPath: path.appending("kernel").string)
            || FileManager.default.fileExists(atPath: path.appending("modules.order").string)
    }

    private static func readConfig(_ path: FilePath) -> KernelConfig? {
        guard let text = try? String(contentsOfFile: path.string, encoding: .utf8) else { return nil }
        return KernelConfig(text: text)
    }

    /// The list for `lsm=`: the kernel's own with `bpf` in it, where BPF LSM is compiled in but not switched on.
    public var securityModules: String? {
        guard let config, config.isEnabled("CONFIG_BPF_LSM") else { return nil }
        let own = config["CONFIG_LSM"] ?? ""
        let names = own.split(separator: ",").map(String.init)
        return names.contains("bpf") ? nil : (names + ["bpf"]).joined(separator: ",")
    }
}
