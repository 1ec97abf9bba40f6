// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// A kernel to be tested, with what belongs to it.
public struct KernelBuild: Sendable, Equatable {
    public var image: KernelImage
    public var version: KernelVersion
    /// nil where none was found beside the image.
    public var config: KernelConfig?
    /// The folder that holds `kernel/…/*.ko*`, as lib/modules/RELEASE does; nil where there are none.
    public var modules: FilePath?
    /// What the user gave: file, tree, package or version.
    public var origin: String

    public var release: String { image.release }

    /// A kernel file: its config and modules are looked for beside it, as distributions and build trees lay them out.
    ///
    /// - Parameter modules: where the user says that they are: a root with lib/modules/RELEASE, or that folder itself.
    public init(file: FilePath, modules: FilePath? = nil, origin: String? = nil) throws(KernelError) {
        image = try KernelImage(inspecting: file)
        guard let version = KernelVersion(image.release) else {
            throw KernelError("\(file): \(image.release) is no kernel version")
        }
        self.version = version
        self.origin = origin ?? file.string
        let folder = file.removingLastComponent()
        let release = image.release
        let configs = [folder.appending("config-\(release)"), folder.appending(".config"), folder.appending("config")]
        config = configs.lazy.compactMap { Self.readConfig($0) }.first
        if let modules {
            let inside = modules.appending("lib/modules").appending(release)
            let found = [inside, modules.appending(release), modules].first { Self.holdsModules($0) }
            guard let found else {
                throw KernelError("\(modules) holds no modules of \(release): neither lib/modules/\(release) nor kernel/")
            }
            self.modules = found
        } else {
            let roots = [folder, folder.removingLastComponent()]
            self.modules =
                roots.map { $0.appending("lib/modules").appending(release) }.first { Self.holdsModules($0) }
        }
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
