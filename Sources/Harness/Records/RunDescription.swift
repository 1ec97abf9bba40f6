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
        self.kernels = kernels.map {
            Kernel(release: $0.build.release, image: $0.build.image.path, origin: $0.build.origin, spec: $0.spec)
        }
        self.qemu = qemu.version
        isolation = options.isolation.rawValue
        seed = options.seed
    }
}
