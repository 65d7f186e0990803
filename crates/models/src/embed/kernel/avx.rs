//! Tiles in AVX2 and FMA. `pulp` gives a token that only a processor which has them yields, so this is safe code.

use super::{FloatTile, LANES, ROWS, Strided, Tile};
use core::arch::x86_64::{__m256, __m256i};
use pulp::{NullaryFnOnce, cast, x86::V3};

struct Whole<'a, const M: usize> {
    v3: V3,
    rows: &'a [[i16; 2]],
    block: &'a [[i8; 2 * LANES]],
}

impl<const M: usize> NullaryFnOnce for Whole<'_, M> {
    type Output = Tile;

    #[inline(always)]
    fn call(self) -> Tile {
        let Whole { v3, rows, block } = self;
        let inputs = block.len();
        let rows: [&[[i16; 2]]; M] =
            core::array::from_fn(|row| &rows[row * inputs..(row + 1) * inputs]);
        let zero: __m256i = v3.avx._mm256_setzero_si256();
        let mut sums = [[zero; 2]; M];
        for (input, weights) in block.iter().enumerate() {
            let halves: [[i8; LANES]; 2] = cast(*weights);
            let low = v3.avx2._mm256_cvtepi8_epi16(cast(halves[0]));
            let high = v3.avx2._mm256_cvtepi8_epi16(cast(halves[1]));
            for (row, sums) in rows.iter().zip(&mut sums) {
                let value = v3.avx._mm256_set1_epi32(cast(row[input]));
                let products = v3.avx2._mm256_madd_epi16(low, value);
                sums[0] = v3.avx2._mm256_add_epi32(sums[0], products);
                let products = v3.avx2._mm256_madd_epi16(high, value);
                sums[1] = v3.avx2._mm256_add_epi32(sums[1], products);
            }
        }
        let mut out = Tile::default();
        for (out, sums) in out.iter_mut().zip(sums) {
            *out = cast(sums);
        }
        out
    }
}

/// Sums of whole numbers, for up to 6 tokens.
pub fn tile(v3: V3, rows: &[[i16; 2]], block: &[[i8; 2 * LANES]]) -> Tile {
    const { assert!(ROWS == 6, "the arms below") };
    match rows.len() / block.len().max(1) {
        6 => v3.vectorize(Whole::<6> { v3, rows, block }),
        5 => v3.vectorize(Whole::<5> { v3, rows, block }),
        4 => v3.vectorize(Whole::<4> { v3, rows, block }),
        3 => v3.vectorize(Whole::<3> { v3, rows, block }),
        2 => v3.vectorize(Whole::<2> { v3, rows, block }),
        _ => v3.vectorize(Whole::<1> { v3, rows, block }),
    }
}

struct Floats<'a, const M: usize> {
    v3: V3,
    left: Strided<'a>,
    right: Strided<'a>,
    inner: usize,
}

impl<const M: usize> NullaryFnOnce for Floats<'_, M> {
    type Output = FloatTile;

    #[inline(always)]
    fn call(self) -> FloatTile {
        let Floats {
            v3,
            left,
            right,
            inner,
        } = self;
        let rows: [&[f32]; M] =
            core::array::from_fn(|row| &left.values[row * left.stride..][..inner]);
        let mut sums = [[v3.avx._mm256_setzero_ps(); 2]; M];
        for place in 0..inner {
            let other = &right.values[place * right.stride..][..LANES];
            let low: __m256 = cast::<[f32; 8], _>(core::array::from_fn(|lane| other[lane]));
            let high: __m256 = cast::<[f32; 8], _>(core::array::from_fn(|lane| other[8 + lane]));
            for (row, sums) in rows.iter().zip(&mut sums) {
                let value = v3.avx._mm256_set1_ps(row[place]);
                sums[0] = v3.fma._mm256_fmadd_ps(value, low, sums[0]);
                sums[1] = v3.fma._mm256_fmadd_ps(value, high, sums[1]);
            }
        }
        let mut out = FloatTile::default();
        for (out, sums) in out.iter_mut().zip(sums) {
            *out = cast(sums);
        }
        out
    }
}

/// Sums of floats, for up to 4 rows.
pub fn float_tile(
    v3: V3,
    left: Strided<'_>,
    right: Strided<'_>,
    height: usize,
    inner: usize,
) -> FloatTile {
    macro_rules! run {
        ($rows:literal) => {
            v3.vectorize(Floats::<$rows> {
                v3,
                left,
                right,
                inner,
            })
        };
    }
    match height {
        4 => run!(4),
        3 => run!(3),
        2 => run!(2),
        _ => run!(1),
    }
}
