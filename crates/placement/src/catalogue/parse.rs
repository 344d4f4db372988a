//! Reads a catalogue's text. Prices decide where money goes, so a row that is not understood is an
//! error with its place, skipped only for who asks for that.

use std::collections::BTreeMap;

use csv::StringRecord;
use kato_core::{
    Arch, BILLED_S_MAX, GpuName, Market, MicroDollars, NameError, Offer, ProviderName, RegionName,
    Resources, Terms, Timestamp,
};

use super::{CatalogueError, Defaults, date};

/// Bytes in a gibibyte.
const GIB: f64 = 1_073_741_824.0;
/// What providers bill whole, in seconds, where no column says it: EC2 Linux machines by the second (its user guide, "On-Demand
/// Instances"; a minute at least, which no `Stay=` is shorter than), Packet by the hour (its API's `billing_cycle`).
const BILLED_S: [(&str, u32); 2] = [("ec2", 1), ("packet", 3_600)];
/// The most processors or gibibytes that one machine may have: a number beyond it is a mistake.
const SIZE_MAX: f64 = 10_000_000.0;

/// The offers of a catalogue's text; `wrong` says whether a row that is not understood ends it. Rows that follow each other and differ in their prices alone, as the zones of a region do,
/// become one, the cheapest: where a feed lists every zone, two rows of three need not be taken apart.
pub(super) fn offers(
    text: &str,
    defaults: &Defaults,
    rows_max: usize,
    mut wrong: impl FnMut(CatalogueError) -> Result<(), CatalogueError>,
) -> Result<Vec<Offer>, CatalogueError> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let columns = Columns::find(reader.headers().map_err(|error| row_error(&error))?)?;
    let mut offers = Vec::new();
    let mut regions = BTreeMap::new();
    let mut sale: Option<Sale> = None;
    let (mut record, mut before) = (StringRecord::new(), StringRecord::new());
    let mut rows = 0;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                wrong(row_error(&error))?;
                continue;
            }
        }
        let row = Row { record: &record, columns: &columns, defaults };
        rows += 1;
        if rows > rows_max {
            let message = format!("more than {rows_max} rows: split the catalogue by provider");
            return Err(row.wrong("row", message));
        }
        let alike = sale.is_some() && row.sells_the_same(&Row { record: &before, ..row });
        let read = row.prices().and_then(|prices| {
            Ok((prices, if alike { None } else { Some(row.what(&mut regions)?) }))
        });
        let (prices, what) = match read {
            Ok(read) => read,
            Err(error) => {
                wrong(error)?;
                continue;
            }
        };
        match (&mut sale, what) {
            (Some(sale), None) => sale.add(prices),
            (_, what) => {
                let next = what.map(|what| Sale { what, prices });
                if let Some(sale) = std::mem::replace(&mut sale, next) {
                    sale.close(&mut offers);
                }
            }
        }
        std::mem::swap(&mut record, &mut before);
    }
    if let Some(sale) = sale {
        sale.close(&mut offers);
    }
    Ok(offers)
}

/// What one row sells, and others like it.
struct Sale {
    /// All but market and price.
    what: Offer,
    prices: Prices,
}

/// The least price on demand and on spot.
type Prices = [Option<MicroDollars>; 2];

const MARKETS: [Market; 2] = [Market::OnDemand, Market::Spot];

impl Sale {
    /// Another row sells the same.
    fn add(&mut self, prices: Prices) {
        for (known, price) in self.prices.iter_mut().zip(prices) {
            *known = known.iter().copied().chain(price).min();
        }
    }

    /// No further row does: it is an offer on each market that has a price.
    fn close(self, offers: &mut Vec<Offer>) {
        for (market, price) in MARKETS.into_iter().zip(self.prices) {
            if let Some(price_micros_per_hour) = price {
                let mut offer = Offer { market, price_micros_per_hour, ..self.what.clone() };
                if market == Market::OnDemand {
                    offer.terms.interruption_percent = None;
                }
                offers.push(offer);
            }
        }
    }
}

fn row_error(error: &csv::Error) -> CatalogueError {
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, but the header names {expected_len} columns")
        }
        _ => error.to_string(),
    };
    let line = error.position().map_or(1, csv::Position::line);
    CatalogueError { line, column: "row".to_owned(), message }
}

/// Where each column stands.
struct Columns {
    provider: Option<usize>,
    region: usize,
    kind: usize,
    arch: Option<usize>,
    cpus: usize,
    memory: usize,
    disk: Option<usize>,
    gpu: Option<usize>,
    gpus: Option<usize>,
    price: usize,
    spot_price: Option<usize>,
    priced_at: Option<usize>,
    source: Option<usize>,
    interruption: Option<usize>,
    billed: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, CatalogueError> {
        // A spreadsheet may have put a byte-order mark before the first name.
        let named = |name: &str| {
            header.iter().position(|found| found.trim_start_matches('\u{feff}').trim() == name)
        };
        let needed = |name: &str| {
            named(name).ok_or_else(|| CatalogueError {
                line: 1,
                column: name.to_owned(),
                message: "the header does not name it: \
                          InstanceType, vCPUs, MemoryGiB, Price and Region are needed"
                    .to_owned(),
            })
        };
        Ok(Self {
            provider: named("Provider"),
            region: needed("Region")?,
            kind: needed("InstanceType")?,
            arch: named("Arch"),
            cpus: needed("vCPUs")?,
            memory: needed("MemoryGiB")?,
            disk: named("DiskGiB"),
            gpu: named("AcceleratorName"),
            gpus: named("AcceleratorCount"),
            price: needed("Price")?,
            spot_price: named("SpotPrice"),
            priced_at: named("PricedAt"),
            source: named("Source"),
            interruption: named("InterruptionPercent"),
            billed: named("BilledSeconds"),
        })
    }
}

#[derive(Clone, Copy)]
struct Row<'a> {
    record: &'a StringRecord,
    columns: &'a Columns,
    defaults: &'a Defaults,
}

impl Row<'_> {
    /// What the row sells, but for market and price. Thousands of offers share the name of a region, so it is kept once.
    fn what(&self, regions: &mut BTreeMap<String, RegionName>) -> Result<Offer, CatalogueError> {
        let region = self.text(Some(self.columns.region)).unwrap_or("");
        let region = match regions.get(region) {
            Some(known) => known.clone(),
            None => regions.entry(region.to_owned()).or_insert(self.region(region)?).clone(),
        };
        let gpus = self.gpus()?;
        let provider = self.provider()?;
        Ok(Offer {
            gpu: self.gpu()?.filter(|_| gpus > 0),
            terms: self.terms(&provider)?,
            provider,
            region,
            kind: self.kind()?,
            market: Market::OnDemand,
            arch: self.arch()?,
            capacity: Resources { gpus, ..self.capacity()? },
            price_micros_per_hour: MicroDollars::ZERO,
            priced_at: self.priced_at()?,
            source: self.source(),
        })
    }

    fn prices(&self) -> Result<Prices, CatalogueError> {
        let on_demand = self.price("Price", Some(self.columns.price))?;
        Ok([on_demand, self.price("SpotPrice", self.columns.spot_price)?])
    }

    /// Whether another row says the same but for prices and columns that nobody reads.
    fn sells_the_same(&self, other: &Self) -> bool {
        let columns = self.columns;
        let needed = [columns.kind, columns.region, columns.cpus, columns.memory].map(Some);
        let others = [columns.provider, columns.arch, columns.priced_at, columns.source];
        let equipment = [columns.disk, columns.gpu, columns.gpus];
        let terms = [columns.interruption, columns.billed];
        let mut all = needed.into_iter().chain(others).chain(equipment).chain(terms);
        all.all(|column| self.text(column) == other.text(column))
    }

    /// The column's text; none where it is absent or empty.
    fn text(&self, column: Option<usize>) -> Option<&str> {
        let text = column.and_then(|column| self.record.get(column)).map(str::trim);
        text.filter(|text| !text.is_empty())
    }

    fn provider(&self) -> Result<ProviderName, CatalogueError> {
        match self.text(self.columns.provider) {
            Some(text) => {
                text.parse().map_err(|error: NameError| self.wrong("Provider", error.to_string()))
            }
            None => Ok(self.defaults.provider.clone()),
        }
    }

    fn region(&self, text: &str) -> Result<RegionName, CatalogueError> {
        text.parse().map_err(|error: NameError| self.wrong("Region", error.to_string()))
    }

    fn kind(&self) -> Result<String, CatalogueError> {
        let text = self.text(Some(self.columns.kind));
        let text =
            text.ok_or_else(|| self.wrong("InstanceType", "is empty, not such as m6i.large"));
        text.map(str::to_owned)
    }

    fn arch(&self) -> Result<Arch, CatalogueError> {
        let text = self.text(self.columns.arch);
        text.map_or(Ok(Arch::X86_64), |text| {
            text.parse().map_err(|error: String| self.wrong("Arch", error))
        })
    }

    fn capacity(&self) -> Result<Resources, CatalogueError> {
        Ok(Resources {
            cpu_millis: self.size("vCPUs", self.columns.cpus, 1_000.0)?,
            memory_bytes: self.size("MemoryGiB", self.columns.memory, GIB)?,
            disk_bytes: self.amount("DiskGiB", self.columns.disk, GIB)?,
            gpus: 0,
        })
    }

    /// The kind of its GPUs.
    fn gpu(&self) -> Result<Option<GpuName>, CatalogueError> {
        let read = self.text(self.columns.gpu).map(|text| text.replace(' ', "-").parse());
        read.transpose().map_err(|error: String| self.wrong("AcceleratorName", error))
    }

    /// How many: none where their kind is not named. A share of one is none: whoever asks for a GPU asks for a whole one.
    fn gpus(&self) -> Result<u64, CatalogueError> {
        let count = self.amount("AcceleratorCount", self.columns.gpus, 1.0)?;
        Ok(if self.text(self.columns.gpu).is_some() { count } else { 0 })
    }

    /// As [`Self::size`], of what a machine may have none of.
    fn amount(&self, column: &str, index: Option<usize>, unit: f64) -> Result<u64, CatalogueError> {
        match index.filter(|_| self.text(index).is_some_and(|text| text.parse() != Ok(0.0))) {
            Some(index) => self.size(column, index, unit),
            None => Ok(0),
        }
    }

    /// A number of `unit`s, rounded down: a machine is never taken for larger than it is.
    fn size(&self, column: &str, index: usize, unit: f64) -> Result<u64, CatalogueError> {
        let text = self.text(Some(index)).unwrap_or("");
        let number = text.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= SIZE_MAX);
        let number = number.ok_or_else(|| {
            let message = format!("\"{text}\" is not a number above 0, such as 2 or 3.75");
            self.wrong(column, message)
        })?;
        // The bounds above keep the product inside the type.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let size = (number * unit) as u64;
        Ok(size)
    }

    fn price(
        &self,
        column: &str,
        index: Option<usize>,
    ) -> Result<Option<MicroDollars>, CatalogueError> {
        let Some(text) = self.text(index) else { return Ok(None) };
        let price = micro_dollars(text).map_err(|error| self.wrong(column, error))?;
        if price <= MicroDollars::ZERO {
            // A feed that knows no price often writes 0, and 0 would win every comparison.
            let message = format!("\"{text}\" is no price: leave it empty where there is none");
            return Err(self.wrong(column, message));
        }
        Ok(Some(price))
    }

    fn priced_at(&self) -> Result<Timestamp, CatalogueError> {
        let Some(text) = self.text(self.columns.priced_at) else {
            return Ok(self.defaults.priced_at);
        };
        date::parse(text).ok_or_else(|| {
            let message = format!("\"{text}\" is not a date such as 2025-06-28");
            self.wrong("PricedAt", message)
        })
    }

    fn terms(&self, provider: &ProviderName) -> Result<Terms, CatalogueError> {
        let known = BILLED_S.iter().find(|(name, _)| *name == provider.as_str());
        let interruption_percent =
            self.whole("InterruptionPercent", self.columns.interruption, 100)?;
        let billed_s = self.whole("BilledSeconds", self.columns.billed, BILLED_S_MAX)?;
        let billed_s = billed_s.or(known.map(|(_, billed_s)| *billed_s));
        Ok(Terms { interruption_percent, billed_s })
    }

    /// A whole number from 1 to the most; none where the column is absent or empty.
    fn whole(
        &self,
        column: &str,
        index: Option<usize>,
        most: u32,
    ) -> Result<Option<u32>, CatalogueError> {
        let Some(text) = self.text(index) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        let wrong =
            || self.wrong(column, format!("\"{text}\" is not a whole number from 1 to {most}"));
        number.map(Some).ok_or_else(wrong)
    }

    fn source(&self) -> String {
        self.text(self.columns.source).unwrap_or(&self.defaults.source).to_owned()
    }

    fn wrong(&self, column: &str, message: impl Into<String>) -> CatalogueError {
        let line = self.record.position().map_or(0, csv::Position::line);
        CatalogueError { line, column: column.to_owned(), message: message.into() }
    }
}

/// Dollars with any number of decimals, rounded to millionths: computed feeds write more than six.
fn micro_dollars(text: &str) -> Result<MicroDollars, String> {
    let Some((whole, fraction)) = text.split_once('.').filter(|(_, f)| f.len() > 6 && f.is_ascii())
    else {
        return text.parse();
    };
    let (kept, rest) = fraction.split_at(6);
    if !rest.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("\"{text}\" is not an amount of dollars, such as 0.25"));
    }
    let price: MicroDollars = format!("{whole}.{kept}").parse()?;
    Ok(price + MicroDollars(i64::from(rest.as_bytes()[0] >= b'5')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Region,InstanceType,Arch,vCPUs,MemoryGiB,Price,SpotPrice,PricedAt";

    fn read(text: &str) -> Result<Vec<Offer>, CatalogueError> {
        let provider = "ec2".parse().unwrap();
        let defaults = Defaults { provider, priced_at: Timestamp(7), source: "test".to_owned() };
        offers(text, &defaults, 3, Err)
    }

    #[test]
    fn a_row_is_an_offer_in_each_market_that_has_a_price() {
        let rows = "a-1,m.large,arm64,2.0,0.5,0.1,0.03,2025-06-28\na-1,m.small,,1,1,,,\n";
        let offers = read(&format!("\u{feff}{HEADER}\n{rows}")).unwrap();
        assert_eq!(offers.len(), 2);
        assert_eq!(offers[0].market, Market::OnDemand);
        assert_eq!(offers[0].price_micros_per_hour, MicroDollars(100_000));
        assert_eq!(offers[0].capacity, Resources::new(2_000, 512));
        assert_eq!(offers[0].arch, Arch::Arm64);
        assert_eq!(offers[1].market, Market::Spot);
        assert_eq!(offers[1].price_micros_per_hour, MicroDollars(30_000));
        assert_eq!(offers[1].priced_at, Timestamp(20_267 * 86_400_000));
        assert_eq!(offers[1].source, "test");
    }

    #[test]
    fn zones_that_differ_in_their_prices_alone_become_the_cheapest_one() {
        let rows = "a,m,,1,1,0.3,,\n a,m ,, 1,1,0.2,0.1,\na,m,,1,1,0.4,0.05,\n";
        let offers = read(&format!("{HEADER}\n{rows}")).unwrap();
        let sold: Vec<_> = offers.iter().map(|o| (o.market, o.price_micros_per_hour.0)).collect();
        assert_eq!(sold, [(Market::OnDemand, 200_000), (Market::Spot, 50_000)]);
        for other in ["b,m,,1,1", "a,n,,1,1", "a,m,arm64,1,1", "a,m,,2,1", "a,m,,1,2"] {
            let offers = read(&format!("{HEADER}\na,m,,1,1,0.3,,\n{other},0.3,,\n")).unwrap();
            assert_eq!(offers.len(), 2, "{other}");
        }
        let error = read(&format!("{HEADER}\na,m,,1,1,0.3,,\na,m,,1,1,x,,\n")).unwrap_err();
        assert_eq!((error.line, error.column.as_str()), (3, "Price"));
    }

    #[test]
    fn a_bad_row_is_named_by_line_and_column() {
        for (row, column, part) in [
            ("EU,m,,1,1,1,,", "Region", "not a DNS label"),
            (",m,,1,1,1,,", "Region", "empty"),
            ("a,,,1,1,1,,", "InstanceType", "empty"),
            ("a,m,mips,1,1,1,,", "Arch", "x86_64 or arm64"),
            ("a,m,,none,1,1,,", "vCPUs", "above 0"),
            ("a,m,,1,-1,1,,", "MemoryGiB", "above 0"),
            ("a,m,,1,NaN,1,,", "MemoryGiB", "above 0"),
            ("a,m,,1,1,1e3,,", "Price", "amount of dollars"),
            ("a,m,,1,1,0.0,,", "Price", "leave it empty"),
            ("a,m,,1,1,1,-1,", "SpotPrice", "amount of dollars"),
            ("a,m,,1,1,1,,28.6.2025", "PricedAt", "2025-06-28"),
            ("a,m,,1,1,1", "row", "6 fields, but the header names 8 columns"),
        ] {
            let error = read(&format!("{HEADER}\na,m,,1,1,1,,\n{row}\n")).unwrap_err();
            assert_eq!((error.line, error.column.as_str()), (3, column), "{row}: {error}");
            assert!(error.message.contains(part), "{row}: {error}");
        }
    }

    #[test]
    fn a_bad_row_may_be_skipped() {
        let text = "InstanceType,vCPUs,MemoryGiB,Price,Region\n\
                    a,2,4,0.1,eu-west-1\n\
                    b,x,4,0.1,eu-west-1\n\
                    c,2,4\n\
                    a,2,4,0.05,eu-west-1\n\
                    d,2,4,0,eu-west-1\n\
                    e,2,4,0.2,eu-west-1\n";
        let (catalogue, skipped) = crate::Catalogue::parse_csv_in_part(
            text,
            &Defaults {
                provider: "ec2".parse().unwrap(),
                priced_at: Timestamp(0),
                source: String::new(),
            },
        )
        .unwrap();
        let offers = catalogue.all_offers();
        let offers: Vec<_> =
            offers.map(|offer| (offer.kind.as_str(), offer.price_micros_per_hour.0)).collect();
        assert_eq!(offers, [("a", 50_000), ("e", 200_000)]);
        let lines: Vec<u64> = skipped.iter().map(|error| error.line).collect();
        assert_eq!(lines, [3, 4, 6]);
    }

    #[test]
    fn a_missing_column_and_too_many_rows_are_errors() {
        let error = read("Region,InstanceType,vCPUs,MemoryGiB\n").unwrap_err();
        assert_eq!((error.line, error.column.as_str()), (1, "Price"));
        assert_eq!(read("").unwrap_err().column, "Region");
        let rows = "a,m,,1,1,1,,\n".repeat(4);
        let error = read(&format!("{HEADER}\n{rows}")).unwrap_err();
        assert_eq!((error.line, error.column.as_str()), (5, "row"));
    }

    #[test]
    fn long_decimals_are_rounded_to_millionths() {
        for (text, micros) in
            [("0.1234564", 123_456), ("0.12345650001", 123_457), ("1.9999999", 2_000_000)]
        {
            assert_eq!(micro_dollars(text), Ok(MicroDollars(micros)), "{text}");
        }
        for bad in ["0.1234567e1", "0.123456-", ".1234567", "0.12345é7"] {
            assert!(micro_dollars(bad).is_err(), "{bad} was taken");
        }
    }
}
