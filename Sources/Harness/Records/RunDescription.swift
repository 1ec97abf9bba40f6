// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// What the records say about a run beside its results.
public struct RunDescription: Sendable {
    /// A kernel of the run.
    public struct Kernel: Sendable {
        public var release: String
        /// The file that is booted: its content tells two builds of one release apart.
        public var image: FilePath
        /// Package, tree or file that it is from.
        public var origin: String
        /// As the user named it.
        public var spec: String

        public init(_ kernel: PreparedKernel) {
            self.init(
                release: kernel.build.release, image: kernel.build.image.path, origin: kernel.build.origin,
                spec: kernel.spec)
        }

        public init(release: String, image: FilePath, origin: String, spec: String) {
            self.release = release
            self.image = image
            self.origin = origin
            self.spec = spec
        }
    }

    public var kernels: [Kernel] = []
    /// QEMU's version.
    public var qemu = ""
    public var isolation: String?
    /// The seed of a shuffled run.
    public var seed: UInt64?

    public init() {}

    public init(kernels: [PreparedKernel], qemu: QEMU, options: RunOptions) {
        self.kernels = kernels.map { Kernel($0) }
        self.qemu = qemu.version
        isolation = options.isolation.rawValue
        seed = options.seed
    }
}
