// SPDX-License-Identifier: Apache-2.0
// Terminals.
#pragma once

#include <pty.h>
