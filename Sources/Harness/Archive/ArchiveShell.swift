// SPDX-License-Identifier: Apache-2.0
internal import Archives
internal import Foundation
internal import SystemPackage
internal import VMRunner

extension ArchiveReplay {
    /// A further part of the guest image: busybox of this machine as the guest's shell, and files to have at hand.
    ///
    /// - Throws: `.usage` where there is no busybox, or a file is not there.
    public static func shell(
        files: [String], environment: [String: String]
    ) async throws(HarnessError) -> [UInt8] {
        guard let busybox = find("busybox") else {
            throw .usage("a shell takes busybox: install it (Debian: apt-get install busybox-static)")
        }
        var closure = try await ProgramClosure(environment: environment)
        try closure.add(file: FilePath(busybox), as: "/bin/busybox")
        try closure.add(files: files, settings: [])
        var archive = CpioArchive()
        var contents: [(path: String, mode: Int, content: [UInt8])] = []
        for file in closure.files {
            let bytes: [UInt8] =
                switch file.source {
                case .bytes(let bytes): bytes
                case .file(let path): try ArchiveDrafter.read(path)
                }
            contents.append((GuestJob.files + file.path, Int(file.mode), bytes))
        }
        archive.add(files: contents)
        return archive.encoded()
    }
}
