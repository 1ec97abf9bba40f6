// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// What guests have said of their kernels' surfaces, kept in the cache by the content of kernel, modules and agent.
struct SurfaceStore: Sendable {
    private let folder: FilePath

    init(folders: Folders) {
        folder = folders.cache.appending("surfaces")
    }

    /// Where a kernel's is, or would be.
    ///
    /// - Parameter settings: a kernel that is booted with other words may answer otherwise.
    func path(
        _ kernel: PreparedKernel, _ files: GuestFiles, settings: MachineSettings
    ) throws(HarnessError) -> FilePath {
        var key = ByteWriter()
        key.append("surface 1")
        key.append(settings.kernelArguments)
        key.append(settings.securityModules ?? "")
        let program = files.directory.appending("objects/surface/kfuncs.bpf.o")
        for file in [kernel.build.image.path, kernel.image.path, files.agent, program] {
            key.append(try Self.sum(file))
        }
        let name = String(XXH64.hash(key.bytes), radix: 16) + String(XXH64.hash(key.bytes, seed: 1), radix: 16)
        return folder.appending("\(kernel.build.release)-\(name)")
    }

    private static func sum(_ path: FilePath) throws(HarnessError) -> UInt64 {
        do {
            let file = try Descriptors.open(path.string, O_RDONLY)
            var sum = XXH64()
            var chunk = [UInt8](repeating: 0, count: 1 << 20)
            while true {
                let count = try file.read(into: &chunk)
                if count == 0 { return sum.digest }
                unsafe chunk.withUnsafeBytes { raw in
                    unsafe sum.update(UnsafeRawBufferPointer(rebasing: raw[..<count]))
                }
            }
        } catch {
            throw .infrastructure("\(path) cannot be read: \(error) (\(error.name))")
        }
    }

    /// nil where there is none; what is there and cannot be understood is made again.
    func find(_ path: FilePath) -> SurfaceCapture? {
        guard let bytes = try? readFile(path.string, limit: SurfaceCapture.bytesAtMost) else { return nil }
        return try? SurfaceCapture(bytes)
    }

    /// Keeps what a guest said.
    func save(_ bytes: [UInt8], _ path: FilePath) throws(HarnessError) {
        try Folders.make(folder)
        do {
            // Atomic: another bpftest sees no file or a whole one.
            try Data(bytes).write(to: URL(fileURLWithPath: path.string), options: .atomic)
        } catch {
            throw .infrastructure("\(path) cannot be written: \(Folders.reason(error))")
        }
    }
}
