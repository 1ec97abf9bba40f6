// SPDX-License-Identifier: Apache-2.0
internal import VMRunner

/// Reads package lists, and finds kernels in what they say.
///
/// A kernel is one package, `linux-image-R` or `linux-image-R-unsigned`; or, in backports from 6.19 on, three:
/// `linux-binary-R`, `linux-modules-R` and `linux-base-R` (the config), beside a `linux-image-R` that holds nothing.
struct DebianPackages {
    private struct Package {
        var part: String
        var release: String
        var isUnsigned: Bool
        var version: String
        var depends: String
        var file: KernelOffer.File
    }

    private var packages: [Package] = []

    /// - Parameter text: paragraphs of a Packages file.
    init(parsing text: String) {
        for fields in Self.stanzas(text) {
            guard let name = fields["Package"], let version = fields["Version"], let sum = fields["SHA256"],
                let place = fields["Filename"], let (part, release, isUnsigned) = Self.split(name)
            else { continue }
            let file = KernelOffer.File(name: name, place: place, sha256: sum, size: fields["Size"].flatMap { Int($0) })
            packages.append(
                Package(
                    part: part, release: release, isUnsigned: isUnsigned, version: version,
                    depends: fields["Depends"] ?? "", file: file))
        }
    }

    /// `linux-image-6.1.0-56-cloud-amd64-unsigned`: image, 6.1.0-56-cloud-amd64, true.
    private static func split(_ name: String) -> (part: String, release: String, isUnsigned: Bool)? {
        for part in ["image", "binary", "modules", "base"] where name.hasPrefix("linux-\(part)-") {
            var release = name.dropFirst("linux-\(part)-".count)
            let isUnsigned = release.hasSuffix("-unsigned")
            if isUnsigned { release = release.dropLast("-unsigned".count) }
            guard release.first?.isNumber == true, KernelFlavour(release: release) != nil else { return nil }
            return (part, String(release), isUnsigned)
        }
        return nil
    }

    /// Control-file paragraphs, without continuation lines.
    private static func stanzas(_ text: String) -> [[String: String]] {
        var result: [[String: String]] = []
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !fields.isEmpty { result.append(fields) }
                fields = [:]
            } else if !line.hasPrefix(" "), let colon = line.firstIndex(of: ":") {
                fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmingPrefix(" ").description
            }
        }
        if !fields.isEmpty { result.append(fields) }
        return result
    }

    /// The kernels of both flavours.
    ///
    /// - Parameter suite: whose list it is.
    func offers(suite: String) -> [KernelOffer] {
        var offers: [KernelOffer] = []
        for image in packages where image.part == "image" || image.part == "binary" {
            let isSplit = image.depends.contains("linux-binary-")
            // linux-image-6.1-cloud-amd64 only leads to another package.
            let leadsOn = isSplit || image.depends.contains("linux-image-")
            if image.part == "image", leadsOn { continue }
            if image.isUnsigned, find(image.part, image, isUnsigned: false) != nil { continue }
            guard let version = KernelVersion(image.version.replacing("~rc", with: "-rc")) else { continue }
            var offer = KernelOffer(
                provider: DebianArchive.providerName, release: image.release, version: version,
                flavour: KernelFlavour(release: image.release), packageVersion: image.version, origin: suite,
                files: [image.file])
            if image.part == "binary" {
                for part in ["modules", "base"] {
                    if let found = find(part, image, isUnsigned: false) {
                        offer.files.append(found.file)
                    } else {
                        offer.missing.append("linux-\(part)-\(image.release)")
                    }
                }
            }
            offers.append(offer)
        }
        return offers
    }

    private func find(_ part: String, _ image: Package, isUnsigned: Bool) -> Package? {
        packages.first {
            $0.part == part && $0.release == image.release && $0.version == image.version
                && $0.isUnsigned == isUnsigned && !$0.depends.contains("linux-binary-")
        }
    }
}
