# Compiles `pause` into /out/bin.
set -eu
mkdir -p /out/bin
gcc-12 -Os -Wall -Wextra -Werror -ffreestanding -nostdlib -static -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fcf-protection=none -s -Wl,--build-id=none -Wl,-z,noseparate-code \
    -o /out/bin/pause /recipe/pause.c
