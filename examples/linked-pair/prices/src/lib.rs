//! The price list: a library, which runs within the components that ask it.

wit_bindgen::generate!({ path: "../wit", world: "price-list" });

struct PriceList;

impl exports::example::shop::prices::Guest for PriceList {
    fn price(item: String) -> Option<u32> {
        match item.as_str() {
            "coracle" => Some(49_900),
            "paddle" => Some(3_950),
            _ => None,
        }
    }
}

export!(PriceList);
