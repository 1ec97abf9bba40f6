// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

/// A folder that an organisation puts its builds into, each a `.deb`, an unpacked package, a build tree or a kernel file.
///
/// What is not packed stays where it is.
struct KernelFolder: KernelProvider {
    let path: FilePath
    let note: @Sendable (String) -> Void

    var name: String { path.string }
    var isLocal: Bool { true }

    func offers(notOlderThan age: Duration) async throws(HarnessError) -> [KernelOffer] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path.string)
        } catch {
            throw .usage("the folder of kernels \(path) cannot be read: \(Folders.reason(error))")
        }
        var offers: [KernelOffer] = []
        for entry in names.sorted() where !entry.hasPrefix(".") {
            let file = path.appending(entry)
            let offer = file.extension == "deb" ? try await package(file) : unpacked(file)
            if let offer { offers.append(offer) }
        }
        return offers.sorted(by: KernelOffer.isNewer)
    }

    /// A package with a kernel in it; the others that belong to a kernel (headers, debug information) are passed over.
    private func package(_ file: FilePath) async throws(HarnessError) -> KernelOffer? {
        let answer = try await Tool.run(
            "dpkg-deb", ["--show", "--showformat", "${Package}\n${Version}\n", file.string], package: "dpkg")
        let fields = answer.output.split(whereSeparator: \.isNewline).map(String.init)
        guard answer.succeeded, fields.count == 2 else {
            note("passed over: \(file) is no package: \(answer.complaint)")
            return nil
        }
        let prefix = "linux-image-"
        guard fields[0].hasPrefix(prefix), !fields[0].hasSuffix("-dbg") else { return nil }
        var release = fields[0].dropFirst(prefix.count)
        if release.hasSuffix("-unsigned") { release = release.dropLast("-unsigned".count) }
        // The package's version has what Debian's releases leave out: 6.1.192 of 6.1.0-56.
        let versions = [release, fields[1].replacing("~rc", with: "-rc")[...]].compactMap { KernelVersion($0) }
        guard let version = versions.max(by: { $0.patch < $1.patch }) else { return nil }
        var offer = KernelOffer(
            provider: name, release: String(release), version: version, flavour: KernelFlavour(release: release),
            packageVersion: fields[1], origin: name, files: [.init(name: fields[0], place: file.string)])
        do {
            // A package that is built again has the same version.
            let attributes = try FileManager.default.attributesOfItem(atPath: file.string)
            let date = attributes[.modificationDate] as? Date ?? .distantPast
            offer.stamp = "-\(attributes[.size] ?? 0)-\(Int(date.timeIntervalSince1970 * 1000))"
        } catch {
            note("passed over: \(file): \(Folders.reason(error))")
            return nil
        }
        return offer
    }

    private func unpacked(_ file: FilePath) -> KernelOffer? {
        let image: FilePath
        do {
            var isDirectory: ObjCBool = false
            _ = unsafe FileManager.default.fileExists(atPath: file.string, isDirectory: &isDirectory)
            if !isDirectory.boolValue {
                // config-…, System.map-… and their like lie beside kernels.
                let name = file.lastComponent?.string ?? ""
                guard ["vmlinuz", "bzImage", "vmlinux"].contains(where: name.hasPrefix) else { return nil }
                image = file
            } else if let inside = try KernelStore.image(under: file) {
                image = file.appending(inside)
            } else {
                let candidates = ["arch/x86/boot/bzImage", "bzImage", "vmlinuz"].map { file.appending($0) }
                guard let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0.string) }) else {
                    return nil
                }
                image = found
            }
            let release = try KernelImage(inspecting: image).release
            guard let version = KernelVersion(release) else { return nil }
            return KernelOffer(
                provider: name, release: release, version: version, flavour: KernelFlavour(release: release),
                origin: name, files: [.init(name: file.lastComponent?.string ?? file.string, place: image.string)])
        } catch {
            note("passed over: \(error)")
            return nil
        }
    }

    func fetch(_ offer: KernelOffer, into folder: FilePath) async throws(HarnessError) -> KernelFiles {
        guard let file = offer.files.first else { throw .infrastructure("\(offer.release) has no file") }
        let path = FilePath(file.place)
        if path.extension == "deb" { return .archives([path]) }
        return .inPlace(path.removingLastComponent(), image: path.lastComponent?.string ?? "")
    }
}
