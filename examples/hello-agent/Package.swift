// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A test agent of your own. In a package elsewhere, name bpftest by its address instead of by path.
let package = Package(
    name: "hello-agent",
    dependencies: [.package(name: "bpftest", path: "../..")],
    targets: [
        .executableTarget(
            name: "hello-agent",
            dependencies: [.product(name: "AgentKit", package: "bpftest")],
            // The guest holds no libraries: an agent is a static executable.
            swiftSettings: [.unsafeFlags(["-static-executable"])],
            linkerSettings: [.unsafeFlags(["-static-executable"])])
    ]
)
