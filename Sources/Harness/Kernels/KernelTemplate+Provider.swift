// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

/// Gets an organisation's builds with curl; only what has the checksum goes on into the cache.
struct TemplateProvider: KernelProvider {
    let template: KernelTemplate

    var name: String { template.name }
    /// What there is, is in the template.
    var isLocal: Bool { true }

    func offers(notOlderThan age: Duration) async throws(HarnessError) -> [KernelOffer] {
        if let complaint = template.complaint { throw .usage(complaint) }
        return template.checksums.compactMap { release, sums in
            KernelVersion(release).map { version in
                let files = zip(template.urls, sums).map { url, sum in
                    let place = url.replacing("{version}", with: release)
                    let last = place.split(separator: "/").last.map(String.init) ?? place
                    return KernelOffer.File(name: last, place: place, sha256: sum.lowercased())
                }
                return KernelOffer(
                    provider: name, release: release, version: version, flavour: nil, origin: name, files: files)
            }
        }.sorted(by: KernelOffer.isNewer)
    }

    func fetch(_ offer: KernelOffer, into folder: FilePath) async throws(HarnessError) -> KernelFiles {
        var paths: [FilePath] = []
        for (number, file) in offer.files.enumerated() {
            let path = folder.appending("\(number)-\(file.name)")
            try await Self.fetch(file, to: path)
            paths.append(path)
        }
        return .archives(paths)
    }

    /// A whole file, or none: what is being fetched is called `.part`, and goes on where it was interrupted.
    private static func fetch(_ file: KernelOffer.File, to path: FilePath) async throws(HarnessError) {
        guard let sum = file.sha256 else { throw .usage("\(file.place) has no checksum") }
        let part = FilePath(path.string + ".part")
        // The lock is on a descriptor that curl inherits: it outlives a bpftest that is killed.
        let script = """
            exec 9>>"$2.lock" && flock 9 || exit 1
            verified() { [ -f "$1" ] && printf '%s  %s\\n' "$2" "$1" | sha256sum --check --status; }
            if verified "$1" "$3"; then exit 0; fi
            resumed=no; if [ -s "$2" ]; then resumed=yes; fi
            get() {
                curl --fail --location --silent --show-error --proto '=https,http,file' --retry 2 \
                    --connect-timeout 30 --speed-limit 1 --speed-time 60 -C - --output "$1" "$2"
            }
            get "$2" "$4"; status=$?
            if ! verified "$2" "$3"; then
                # What an earlier fetch left may be of another file, or the server cannot resume.
                if [ $resumed = yes ]; then rm -f "$2"; get "$2" "$4"; status=$?; fi
                [ $status = 0 ] || exit $status
                if ! verified "$2" "$3"; then
                    echo "wrong: $(sha256sum <"$2" | cut -c 1-64)" >&2; rm -f "$2"; exit 99
                fi
            fi
            mv -f "$2" "$1"
            """
        let answer = try await Tool.run(
            "sh", ["-c", script, "sh", path.string, part.string, sum, file.place], package: "curl")
        if answer.succeeded { return }
        if Task.isCancelled { throw .cancelled }
        if let wrong = answer.error.split(whereSeparator: \.isNewline).last(where: { $0.hasPrefix("wrong: ") }) {
            throw .infrastructure(
                "\(file.place) is not the file that is meant: its SHA-256 is \(wrong.dropFirst("wrong: ".count)), and "
                    + "not \(sum); it is not used")
        }
        throw .infrastructure("cannot download \(file.place): \(answer.complaint)")
    }
}
