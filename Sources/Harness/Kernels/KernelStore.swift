// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// Finds the kernel that the user means.
public struct KernelStore: Sendable {
    let folders: Folders

    public init(folders: Folders) {
        self.folders = folders
    }

    /// - Parameter spec: a file, a build tree, a package or a version.
    public func resolve(_ spec: String, modules: FilePath?) async throws(HarnessError) -> KernelBuild {
        do {
            var isDirectory: ObjCBool = false
            guard unsafe FileManager.default.fileExists(atPath: spec, isDirectory: &isDirectory) else {
                throw HarnessError.usage("\(spec): there is no such file")
            }
            if isDirectory.boolValue { return try KernelBuild(tree: FilePath(spec)) }
            return try KernelBuild(file: FilePath(spec), modules: modules)
        } catch let error as KernelError {
            throw .usage("\(error)")
        } catch {
            throw .usage("\(error)")
        }
    }
}
