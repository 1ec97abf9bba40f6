// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage

/// Where the dynamic loader finds libraries: the same places in the same order, without running anything of them.
///
/// `ldd` and the loader's `--list` map the program, or start whatever it names as its loader: nothing that a host should
/// do with a program that is to be tested in a guest.
/// - Source: ld.so(8).
struct LibrarySearch {
    /// Library name -> paths, as the loader's cache has them.
    var cache: [String: [String]]

    /// A file that the loader finds, by its place on the host and the one in the guest.
    struct Found: Equatable {
        var host: String
        var guest: String
    }

    private static let systemFolders = [
        "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
    ]
    /// musl's loader has no cache.
    private static let muslFolders = ["/lib", "/usr/local/lib", "/usr/lib"]

    /// Asks the system's own tool for the cache; without one only folders are searched.
    static func ofThisHost() async throws(HarnessError) -> LibrarySearch {
        let answer = try await Tool.run("ldconfig", ["-p"], package: "libc-bin")
        return LibrarySearch(cache: answer.succeeded ? parse(answer.output) : [:])
    }

    /// Reads `ldconfig -p`: lines such as `libc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6`.
    static func parse(_ text: String) -> [String: [String]] {
        var cache: [String: [String]] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let arrow = line.firstRange(of: " => "), let name = line.split(separator: " ").first else { continue }
            let path = String(line[arrow.upperBound...])
            let label = String(name.drop { $0.isWhitespace })
            if path.hasPrefix("/") { cache[label, default: []].append(path) }
        }
        return cache
    }

    /// What an object and those that have loaded it say of where to search.
    struct Requester {
        var program: ELFProgram
        /// Its path.
        var found: Found
        /// Search paths of the old kind of those that have loaded it, nearest first, each with its folder.
        var inherited: [Place] = []
    }

    /// A folder to search, as written in a program, with what `$ORIGIN` in it means.
    struct Place {
        var template: String
        var origin: Found

        /// nil: relative to wherever the program is started, which is nowhere in a guest.
        var folder: Found? {
            let expand = { (origin: String) in
                // Wherever the program is started: beside its file, as what is built in a folder and run there.
                if template == "." { return origin }
                return template.replacingOccurrences(of: "${ORIGIN}", with: origin)
                    .replacingOccurrences(of: "$ORIGIN", with: origin)
                    .replacingOccurrences(of: "${LIB}", with: "lib/x86_64-linux-gnu")
                    .replacingOccurrences(of: "$LIB", with: "lib/x86_64-linux-gnu")
                    .replacingOccurrences(of: "${PLATFORM}", with: "x86_64")
                    .replacingOccurrences(of: "$PLATFORM", with: "x86_64")
            }
            let (host, guest) = (expand(origin.host), expand(origin.guest))
            return host.hasPrefix("/") && guest.hasPrefix("/") ? Found(host: host, guest: guest) : nil
        }
    }

    /// The folders that an object's own entry names.
    static func places(_ templates: [String], of found: Found) -> [Place] {
        let folder = { (path: String) in FilePath(path).removingLastComponent().string }
        // The main program's origin is where the file really is.
        let origin = Found(host: folder(found.host), guest: folder(found.guest))
        return templates.map { Place(template: $0, origin: origin) }
    }

    /// Finds a library for an object.
    ///
    /// - Parameter musl: the loader is musl's.
    /// - Returns: nil where the loader would not find it.
    func find(_ name: String, for requester: Requester, musl: Bool) -> Found? {
        if name.contains("/") {
            let place = Self.places([name], of: requester.found)[0]
            return place.folder.flatMap { fits($0.host, requester.program) ? $0 : nil }
        }
        let own = requester.program
        var places: [Place] = []
        if own.runpath.isEmpty {
            places = Self.places(own.rpath, of: requester.found) + requester.inherited
        } else {
            places = Self.places(own.runpath, of: requester.found)
        }
        for folder in places.compactMap(\.folder) {
            if fits("\(folder.host)/\(name)", own) {
                return Found(host: "\(folder.host)/\(name)", guest: "\(folder.guest)/\(name)")
            }
        }
        let cached = musl ? [] : cache[name] ?? []
        let folders = (musl ? Self.muslFolders : Self.systemFolders).map { "\($0)/\(name)" }
        return (cached + folders).first { fits($0, own) }.map { Found(host: $0, guest: $0) }
    }

    /// Whether there is a library for the same kind of machine: the loader goes on where one is for another.
    private func fits(_ path: String, _ program: ELFProgram) -> Bool {
        guard let library = ELFProgram(FilePath(path)) else { return false }
        return library.machine == program.machine && library.is64Bit == program.is64Bit
    }
}
